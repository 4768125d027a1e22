"""Records that wait for their store: a file of lines, safe against every kill.

One file a driver, beside the studies. Its first line says whose records they are; each
further one is a record, complete when it ends in a newline. Nothing is ever changed:
the file goes when all of it stands in the store, and writing a record once more does
no harm (see `ktune.tracking.delivery`).
"""

import base64
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ktune.errors import StoreError
from ktune.tracking import names
from ktune.tracking.records import MetricPoint, RunRecord
from ktune.utils.file_lock import driving, is_driven

_ENDING = ".jsonl"


@dataclass(frozen=True)
class Owner:
    """Whose records wait.

    Attributes:
        search: Run id of the search.
        experiment: Its name.
        server: Where they were to be written, without a login.
    """

    search: str
    experiment: str
    server: str


@dataclass(frozen=True, eq=False)
class PendingRecord:
    """One record that is to be written.

    Attributes:
        run_id: The run it adds to; of a trial: the run of its search.
        record: What it holds.
        at: When it was made, in seconds since 1970.
        experiment_id: MLflow's, of a trial, whose run is to be made; else "".
    """

    run_id: str
    record: RunRecord
    at: float
    experiment_id: str = ""

    @property
    def is_trial(self) -> bool:
        """Whether it is a run of its own."""
        return bool(self.experiment_id)


@dataclass(frozen=True)
class PendingRecords:
    """A file of records.

    Attributes:
        path: The file.
        owner: Whose they are.
        n_records: How many there are.
        n_trials: How many of them are trials.
        since: When the first was made, in seconds since 1970.
    """

    path: Path
    owner: Owner
    n_records: int
    n_trials: int
    since: float

    @property
    def is_driven(self) -> bool:
        """Whether the search still runs, and so writes them itself."""
        return is_driven(self.path)


class PendingJournal:
    """A file of waiting records that belongs to this process until it is closed.

    Args:
        folder: Of the store; see `StoreLocation.folder`.
        owner: Whose records they are.
    """

    def __init__(self, folder: Path, owner: Owner) -> None:
        name = f"{owner.search}-{uuid.uuid4().hex[:8]}{_ENDING}"
        self.path = folder / names.WAITING / name
        self._lock = ExitStack()
        self._lock.enter_context(driving(self.path))
        self.path.touch()
        self._append(asdict(owner))

    def append(self, entry: PendingRecord) -> None:
        """Add a record; it survives whatever happens afterwards."""
        record = asdict(entry.record)
        record["files"] = {
            name: base64.b64encode(content).decode()
            for name, content in entry.record.files.items()
        }
        content = {"run_id": entry.run_id, "at": entry.at, "record": record}
        self._append({**content, "experiment_id": entry.experiment_id})

    def _append(self, content: Mapping[str, Any]) -> None:
        line = json.dumps(content).encode() + b"\n"
        end = self.path.stat().st_size
        try:
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # the disk is full: what is cut must not spoil what follows
            os.truncate(self.path, end)
            raise

    def remove(self) -> None:
        """All of it is written: the file goes."""
        self.path.unlink()
        self.close()

    def close(self) -> None:
        """Leave the file to whoever writes its records later."""
        self._lock.close()


def list_waiting(folder: Path) -> list[PendingRecords]:
    """Return what waits below the folder of a store, oldest first.

    Raises:
        StoreError: A file is not one of ours, or damaged.
    """
    found = map(_describe, (folder / names.WAITING).glob(f"*{_ENDING}"))
    return sorted((w for w in found if w.n_records), key=lambda w: w.since)


def read_entries(path: Path, start: int = 0) -> Iterator[tuple[int, PendingRecord]]:
    """Yield the records of a file with the position behind each, one at a time.

    Args:
        path: The file.
        start: Position behind the last record that is not wanted; 0: all are.

    Raises:
        StoreError: The file is damaged.
    """
    with path.open("rb") as file:
        file.seek(start)
        lines = iter(file.readline, b"")
        if start == 0:
            next(lines, b"")  # the owner
        for line in lines:
            if not line.endswith(b"\n"):
                return  # a kill came while it was written: it does not count
            with _damage(path):
                entry = _entry(json.loads(line))
            yield file.tell(), entry


def _describe(path: Path) -> PendingRecords:
    with path.open("rb") as file, _damage(path):
        first = file.readline()
        # A kill may have come before anything was written.
        about = json.loads(first) if first.endswith(b"\n") else {"search": ""}
        owner = Owner(**{"experiment": "", "server": "", **about})
    since, n_records, n_trials = math.inf, 0, 0
    for _, entry in read_entries(path):
        since = min(since, entry.at)
        n_records += 1
        n_trials += entry.is_trial
    return PendingRecords(path, owner, n_records, n_trials, since)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be understood."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} holds no records that wait for MLflow, or is damaged: {error}. "
            "Move it away, or restore it from a copy"
        ) from error


def _entry(content: Mapping[str, Any]) -> PendingRecord:
    record = dict(content["record"])
    record["metrics"] = tuple(MetricPoint(**point) for point in record["metrics"])
    record["files"] = {
        name: base64.b64decode(text) for name, text in record["files"].items()
    }
    return PendingRecord(
        content["run_id"],
        RunRecord(**record),
        float(content["at"]),
        content["experiment_id"],
    )
