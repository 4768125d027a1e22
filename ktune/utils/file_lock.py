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
    """Hold the study of a search, for as long as this process drives it.

    The lock is on the journal itself and leaves nothing behind, however the process
    ends. Optuna's own lock is a link that a killed process leaves; nobody else can
    be using it now, so it is taken away.

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
    """Lock until the file is closed; return whether nobody else holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
