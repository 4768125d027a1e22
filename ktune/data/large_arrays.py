"""Arrays too large for memory, as memory-mapped files."""

import os
import shutil
import tempfile

import numpy as np

from ktune.errors import DataError
from ktune.utils.runtime import memory_bytes

MEMORY_SHARE = 0.125
"""Share of the machine's memory above which an array is mapped to a file."""

_CHUNK_BYTES = 2**26


def is_large(n_bytes: float) -> bool:
    """Whether an array of this many bytes is mapped to a file."""
    return n_bytes > MEMORY_SHARE * memory_bytes()


def empty(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """Return an uninitialised array, mapped to a file if it is large.

    The file has no name, so the system deletes it with the array, however the process
    ends. Its folder is that of temporary files (``TMPDIR``).

    Raises:
        DataError: The disk has no space for the file.
    """
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if not is_large(n_bytes):
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        _reserve(file.fileno(), n_bytes)
        # A plain array, because arithmetic on a memmap returns memmaps without file.
        return np.asarray(np.memmap(file, dtype, "r+", shape=shape))


def take(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rows at the given positions, mapped to a file if large."""
    shape = (len(rows), *x.shape[1:])
    if not is_large(len(rows) * _row_bytes(x)):
        return x[rows]
    taken = empty(shape, x.dtype)
    for part in chunks(taken):
        taken[part] = x[rows[part]]
    return taken


def chunks(x: np.ndarray) -> list[slice]:
    """Return slices of rows of some megabytes each."""
    size = max(1, _CHUNK_BYTES // max(1, _row_bytes(x)))
    return [slice(start, start + size) for start in range(0, len(x), size)]


def _row_bytes(x: np.ndarray) -> int:
    return int(np.prod(x.shape[1:], dtype=np.int64)) * x.itemsize


def _reserve(file: int, n_bytes: int) -> None:
    """Allocate the file, because writing to it on a full disk would kill the process.

    At most half of the free space is used, so that a zip bomb cannot fill the disk.
    """
    free = shutil.disk_usage(tempfile.gettempdir()).free
    try:
        if n_bytes > free / 2:
            raise OSError("it would take more than half of the free space")
        os.truncate(file, n_bytes)
        if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
            os.posix_fallocate(file, 0, n_bytes)
    except OSError as error:
        raise DataError(
            f"{n_bytes / 2**30:,.1f} GiB of data are too large for this machine's "
            f"memory and go to a file, for which {tempfile.gettempdir()} has no room: "
            f"{error.strerror or error}. Give fewer rows, or name another folder in "
            "TMPDIR."
        ) from error
