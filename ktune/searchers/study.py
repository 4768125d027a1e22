"""Open a study in a journal file or a database."""

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import optuna
from optuna.storages import BaseStorage, RDBStorage

from ktune.errors import StoreError
from ktune.searchers.indexed_storage import IndexedStorage
from ktune.searchers.journal import BatchedJournal

if TYPE_CHECKING:
    # It imports scikit-learn, which reading a study does not need.
    from ktune.metrics.ranking import Goal

_DIRECTIONS: Mapping[str, Literal["maximize", "minimize"]] = {
    "max": "maximize",
    "min": "minimize",
}


def open_study(
    place: str | Path, name: str, goal: "Goal | None"
) -> tuple[optuna.Study, BatchedJournal | None]:
    """Open the study of a search; see `ktune.searchers.trial_store.open_trial_store`.

    Returns:
        The study and its journal; None for a database.

    Raises:
        StoreError: The study does not exist, or has the opposite direction.
        Exception: Optuna's error for a damaged file, or one that is no journal.
    """
    is_url = "://" in str(place)
    if goal is None and not is_url and not Path(place).exists():
        raise StoreError(f"there is no study at {place}")
    if goal is not None and not is_url:
        _prepare_journal(Path(place))
    with quiet():
        journal = None if is_url else BatchedJournal(Path(place))
        storage = RDBStorage(str(place)) if journal is None else IndexedStorage(journal)
        return study_in(storage, name, goal), journal


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress Optuna's log messages and warnings; ktune reports problems itself."""
    verbosity = optuna.logging.get_verbosity()
    # Setting a level invalidates the caches of all loggers, so do it only if needed.
    is_loud = verbosity < optuna.logging.ERROR
    if is_loud:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Only Optuna's code runs in this block, not the user's.
            warnings.simplefilter("ignore")
            yield
    finally:
        if is_loud:
            optuna.logging.set_verbosity(verbosity)


def study_in(storage: BaseStorage, name: str, goal: "Goal | None") -> optuna.Study:
    """Return a study of a storage; with a goal, create it if it does not exist.

    Raises:
        StoreError: The study has the opposite direction.
        KeyError: The study does not exist.
    """
    if goal is None:
        return optuna.load_study(study_name=name, storage=storage)
    wanted = [_DIRECTIONS[objective.direction] for objective in goal.objectives]
    study = optuna.create_study(
        study_name=name, storage=storage, directions=wanted, load_if_exists=True
    )
    found = [direction.name.lower() for direction in study.directions]
    if found != wanted:
        metrics = ", ".join(objective.metric for objective in goal.objectives)
        raise StoreError(
            f"study {name!r} is of a search that {', '.join(f'{d}s' for d in found)}, "
            f"but {metrics} is to be {', '.join(f'{d}d' for d in wanted)}"
        )
    return study


def journal_problem(path: Path) -> str:
    """Return the first malformed line of a journal as a message, or ""."""
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        if not _is_record(line):
            return f"line {number} of {len(lines)} is not a record of Optuna's journal"
    return ""


def _prepare_journal(path: Path) -> None:
    """Create the folder; remove an incomplete last line of the file.

    Optuna skips such a line while it is the last one, but appends to it, and then
    cannot read the file any more (optuna/storages/journal/_file.py, 5.0.0). After a
    power loss a file may also end in arbitrary bytes, including line feeds.

    Raises:
        ValueError: The file is no journal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    whole, last = _split_last(path.read_bytes())
    if not last or (last.endswith(b"\n") and _is_record(last)):
        return
    # A file that is not a journal must stay unchanged.
    if not (_is_record(_split_last(whole)[1]) if whole else last.startswith(b"{")):
        raise ValueError("it does not end like a journal")
    os.truncate(path, len(whole))


def _split_last(content: bytes) -> tuple[bytes, bytes]:
    """Split off the last line, which may end without a line feed."""
    start = content.rfind(b"\n", 0, -1) + 1
    return content[:start], content[start:]


def _is_record(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and "op_code" in record
