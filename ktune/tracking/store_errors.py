"""Describe errors of a local store: disk full, locked, read-only, damaged."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from ktune.errors import StoreError
from ktune.tracking.location import StoreLocation

_RESUME_HINT = "To resume a search: `ktune search FILE --resume`."


@dataclass(frozen=True)
class _Cause:
    """Cause of a store error.

    Attributes:
        phrases: Messages of SQLite with this cause.
        error_numbers: Error numbers of the system with this cause.
        message: Template with ``{database}``, ``{folder}`` and ``{error}``.
    """

    phrases: tuple[str, ...]
    error_numbers: tuple[int, ...]
    message: str


_LOCKED = _Cause(
    ("database is locked", "database table is locked"),
    (),
    "{database} is locked by another program, and stays so. Close that program "
    "(`lsof {database}` names it). Nothing is lost. " + _RESUME_HINT,
)
_READ_ONLY = _Cause(
    ("readonly database",),
    (errno.EROFS,),
    "the store in {folder} is read-only ({error}). SQLite writes there even when it "
    "reads. Make the folder and its files writable, or work on a copy: cp -r {folder} "
    "FOLDER, and --tracking-uri sqlite:///FOLDER/mlflow.db",
)
_NOT_OPENED = _Cause(
    ("unable to open database file",),
    (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE),
    "{file} cannot be opened ({error}): {obstacle}.",
)
_CAUSES = (
    _LOCKED,
    _READ_ONLY,
    _NOT_OPENED,
    _Cause(
        ("database or disk is full",),
        (errno.ENOSPC, errno.EDQUOT),
        "no space is left for the store in {folder} ({error}). Finished trials are "
        "kept. Free space there and in the folder for temporary files. " + _RESUME_HINT,
    ),
    _Cause(
        ("malformed", "file is not a database", "disk I/O error"),
        (errno.EIO,),
        "{database} is damaged, or not a database ({error}); it was left unchanged. "
        "Restore it from a copy, recover its readable part (sqlite3 {database} "
        ".recover), or move it away to start anew.",
    ),
)


def is_locked(error: BaseException) -> bool:
    """Whether another program locks the database."""
    return any(phrase in str(error) for phrase in _LOCKED.phrases)


def store_error(error: BaseException, location: StoreLocation) -> StoreError | None:
    """Return the store error for an exception, or None if it is not about the store.

    Args:
        error: Raised by SQLite, SQLAlchemy, MLflow or the system.
        location: The store.
    """
    if location.database is None or isinstance(error, StoreError):
        return None
    number = error.errno if isinstance(error, OSError) else None
    for cause in _CAUSES:
        if number in cause.error_numbers or any(
            phrase in str(error) for phrase in cause.phrases
        ):
            file = Path(getattr(error, "filename", None) or location.database)
            obstacle = _obstacle(file)
            if cause is _NOT_OPENED and obstacle is None:
                cause = _READ_ONLY
            message = cause.message.format(
                file=file,
                database=location.database,
                folder=location.folder,
                error=_core_message(error),
                obstacle=obstacle,
            )
            return StoreError(message)
    return None


def _obstacle(file: Path) -> str | None:
    """Return why a file cannot be opened; None if it is only read-only."""
    if not os.access(file.parent, os.R_OK | os.X_OK):
        return "its folder does not exist, or you may not read it"
    if not file.exists():
        return "it does not exist"
    if not os.access(file, os.R_OK):
        return "you may not read it"
    if not (os.access(file.parent, os.W_OK) and os.access(file, os.W_OK)):
        return None
    return (
        "you may read and write it, so look at its -wal and -shm files and at the "
        "limit of open files (`ulimit -n`)"
    )


def _core_message(error: BaseException) -> str:
    """Return the message of the system or SQLite without the text of wrappers."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first_line = str(error).strip().splitlines()[0]
    return first_line.removeprefix("(sqlite3.").partition(") ")[2] or first_line
