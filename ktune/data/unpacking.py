"""Unpack compressed files within a limit, as a protection against zip bombs."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

from ktune.errors import DataError
from ktune.utils.runtime import memory_bytes

MEMORY_SHARE = 0.5
"""Maximum size of an unpacked file, as a share of the machine's memory."""

_CHUNK_BYTES = 2**24


def check_unpacked(path: Path, n_bytes: float) -> None:
    """Refuse a file that unpacks to more than the limit.

    Raises:
        DataError: The size exceeds the limit.
    """
    if n_bytes > MEMORY_SHARE * memory_bytes():
        raise DataError(
            f"{path}: it unpacks to {n_bytes / 2**30:,.1f} GiB or more, and this "
            f"machine has {memory_bytes() / 2**30:,.1f} GiB of memory. Give fewer rows."
        )


def read_packed(stream: Any, path: Path) -> bytes:
    """Read a compressed stream up to the limit.

    Raises:
        DataError: The content exceeds the limit.
    """
    whole = io.BytesIO()
    while part := stream.read(_CHUNK_BYTES):
        whole.write(part)
        check_unpacked(path, whole.tell())
    return whole.getvalue()


def read_gzip(path: Path) -> bytes:
    """Return the content of a gzip file.

    Raises:
        DataError: The content exceeds the limit.
    """
    with gzip.open(path) as stream:
        return read_packed(stream, path)


def array_sizes(path: Path) -> dict[str, int]:
    """Return the unpacked size in bytes of each array of an npz file."""
    with zipfile.ZipFile(path) as packed:
        return {
            info.filename.removesuffix(".npy"): info.file_size
            for info in packed.infolist()
        }
