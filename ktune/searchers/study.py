"""Where a study is kept: a journal file, or a database."""

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
    # Brings scikit-learn with it, which a reader of studies need not wait for.
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
        The study, and the file it is kept in; None: a database.

    Raises:
        StoreError: It is not there, or is of a search with the opposite direction.
        Exception: What Optuna raises for a file that is no journal, or damaged.
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
    """Keep Optuna from talking: ktune says what there is to say."""
    verbosity = optuna.logging.get_verbosity()
    # Changing it makes every logger of the process find out its level anew.
    is_loud = verbosity < optuna.logging.ERROR
    if is_loud:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Only Optuna's own code runs in here, never the user's.
            warnings.simplefilter("ignore")
            yield
    finally:
        if is_loud:
            optuna.logging.set_verbosity(verbosity)


def study_in(storage: BaseStorage, name: str, goal: "Goal | None") -> optuna.Study:
    """Return a study of a storage, made if need be and a goal is given.

    Raises:
        StoreError: It is of a search with the opposite direction.
        KeyError: It is not there.
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
    """Return what is wrong with a journal that cannot be opened; "" if not this."""
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        if not _is_record(line):
            return f"line {number} of {len(lines)} is no record of Optuna's journal"
    return ""


def _prepare_journal(path: Path) -> None:
    """Make the folder; cut off a last line whose writing was interrupted.

    Optuna skips such a line while it is the last one, but appends to it, and then
    cannot read the file any more (optuna/storages/journal/_file.py, 5.0.0). After a
    power loss the end of a file may also hold anything, line feeds among it.

    Raises:
        ValueError: The file is no journal.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    whole, last = _split_last(path.read_bytes())
    if not last or (last.endswith(b"\n") and _is_record(last)):
        return
    # Nothing is cut off a file that is somebody else's.
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
