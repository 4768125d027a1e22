"""Unpack no more than the machine can hold: few bytes may stand for very many."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

from ktune.errors import DataError
from ktune.utils.runtime import memory_bytes

MEMORY_SHARE = 0.5
"""Share of the machine's memory that one unpacked file may take."""

_CHUNK_BYTES = 2**24


def check_unpacked(path: Path, n_bytes: float) -> None:
    """Refuse a file that unpacks to more than memory has room for.

    Raises:
        DataError: It does; nothing is unpacked yet.
    """
    if n_bytes > MEMORY_SHARE * memory_bytes():
        raise DataError(
            f"{path}: it unpacks to {n_bytes / 2**30:,.1f} GiB or more, and this "
            f"machine has {memory_bytes() / 2**30:,.1f} GiB of memory. Give fewer rows."
        )


def read_packed(stream: Any, path: Path) -> bytes:
    """Read what a packed stream holds, as long as there is room for it.

    Raises:
        DataError: There is not.
    """
    whole = io.BytesIO()
    while part := stream.read(_CHUNK_BYTES):
        whole.write(part)
        check_unpacked(path, whole.tell())
    return whole.getvalue()


def read_gzip(path: Path) -> bytes:
    """Return what a gzip file holds.

    Raises:
        DataError: It is more than there is room for.
    """
    with gzip.open(path) as stream:
        return read_packed(stream, path)


def array_sizes(path: Path) -> dict[str, int]:
    """Return how many bytes each array of an npz file unpacks to."""
    with zipfile.ZipFile(path) as packed:
        return {
            info.filename.removesuffix(".npy"): info.file_size
            for info in packed.infolist()
        }
