"""What has happened to a local store, in words: full, locked, read-only, damaged."""

import errno
from dataclasses import dataclass

from ktune.errors import StoreError
from ktune.tracking.location import StoreLocation

_GO_ON = "A search that was running goes on by `ktune search FILE --resume`."


@dataclass(frozen=True)
class _Cause:
    """Why a store cannot be used.

    Attributes:
        words: Of which one stands in SQLite's message.
        numbers: Of the system's errors that mean the same.
        told: What is said; ``{database}``, ``{folder}`` and ``{error}`` are filled in.
    """

    words: tuple[str, ...]
    numbers: tuple[int, ...]
    told: str


_LOCKED = _Cause(
    ("database is locked", "database table is locked"),
    (),
    "{database} is locked by another program, and stays so. Close what uses it "
    "(`lsof {database}` names it). Nothing is lost. " + _GO_ON,
)
_CAUSES = (
    _LOCKED,
    _Cause(
        ("database or disk is full",),
        (errno.ENOSPC, errno.EDQUOT),
        "no space is left for the store in {folder} ({error}). What was finished is "
        "kept. Make room there and in the folder for temporary files. " + _GO_ON,
    ),
    _Cause(
        ("readonly database", "unable to open database file"),
        (errno.EROFS, errno.EACCES, errno.EPERM),
        "the store in {folder} cannot be written ({error}). SQLite has to write there "
        "even to read. Make the folder and its files writable, or work on a copy: "
        "cp -r {folder} FOLDER, and --tracking-uri sqlite:///FOLDER/mlflow.db",
    ),
    _Cause(
        ("malformed", "file is not a database", "disk I/O error"),
        (errno.EIO,),
        "{database} is damaged, or no database at all ({error}); nothing was changed "
        "in it. Restore it from a copy, save what can be read of it (sqlite3 "
        "{database} .recover), or move it away to start anew.",
    ),
)


def is_locked(error: BaseException) -> bool:
    """Whether another program has the lock of the database."""
    return any(words in str(error) for words in _LOCKED.words)


def store_error(error: BaseException, location: StoreLocation) -> StoreError | None:
    """Return what is wrong with a local store; None: the error tells something else.

    Args:
        error: As SQLite, SQLAlchemy, MLflow or the system has raised it.
        location: The store.
    """
    if location.database is None or isinstance(error, StoreError):
        return None
    number = error.errno if isinstance(error, OSError) else None
    for cause in _CAUSES:
        if number in cause.numbers or any(words in str(error) for words in cause.words):
            told = cause.told.format(
                database=location.database,
                folder=location.folder,
                error=_core_of(error),
            )
            return StoreError(told)
    return None


def _core_of(error: BaseException) -> str:
    """Return what the system or SQLite said, without what others have put around."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first_line = str(error).strip().splitlines()[0]
    return first_line.removeprefix("(sqlite3.").partition(") ")[2] or first_line
