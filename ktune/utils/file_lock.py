"""Locks that the operating system releases when their process ends."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ktune.errors import StoreError


@contextlib.contextmanager
def driving(journal: Path) -> Iterator[None]:
    """Lock the study of a search while this process drives it.

    The lock is on a file beside the journal, since Windows lets no other process read
    a locked file. The lock of Optuna is a link that a killed process leaves behind; no
    other process can use it while this lock is held, so it is deleted.

    Raises:
        StoreError: Another process is driving the search.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_path(journal), thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StoreError(
            f"the search of {journal} is still running in another process. Wait "
            "for it, or end it with Ctrl-C there"
        ) from None
    try:
        Path(f"{journal}.lock").unlink(missing_ok=True)
        yield
    finally:
        _release(lock, journal)


@contextlib.contextmanager
def locked(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold a lock file while other processes and threads wait for it.

    Raises:
        StoreError: Another process holds it for longer than ``seconds``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=seconds, thread_local=False):
            yield
    except Timeout:
        raise StoreError(
            f"another process has held the lock {path} for {seconds:.0f} s. Wait for "
            "it, or end it"
        ) from None


def is_driven(journal: Path) -> bool:
    """Whether a process on this machine is driving the search."""
    path = _lock_path(journal)
    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(blocking=False):
            return False
    except Timeout:
        return True


def _release(lock: FileLock, journal: Path) -> None:
    """Release the lock; delete its file if the journal is deleted."""
    if not journal.exists():
        with contextlib.suppress(OSError):  # Windows keeps an open file
            Path(lock.lock_file).unlink()
    lock.release()


def _lock_path(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.driver")
