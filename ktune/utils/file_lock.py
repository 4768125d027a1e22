"""One driver a search: a lock that the operating system drops when it dies."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ktune.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def driving(journal: Path) -> Iterator[None]:
    """Lock the study of a search while this process drives it.

    The operating system releases the lock on the journal when the process ends. The
    lock of Optuna is a link that a killed process leaves behind; no other process can
    use it while this lock is held, so it is deleted.

    Raises:
        StoreError: Another process is driving the search.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("ab") as file:
        if not _lock(file.fileno()):
            raise StoreError(
                f"the search of {journal} is still running in another process. Wait "
                "for it, or end it with Ctrl-C there"
            )
        Path(f"{journal}.lock").unlink(missing_ok=True)
        yield


def is_driven(journal: Path) -> bool:
    """Whether a process on this machine is driving the search."""
    if not journal.exists():
        return False
    with journal.open("ab") as file:
        return not _lock(file.fileno())


def _lock(descriptor: int) -> bool:
    """Lock until the file is closed; return False if another process holds the lock."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
