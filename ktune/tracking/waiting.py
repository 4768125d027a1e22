"""Journal of records that are queued for their store, safe against kills.

Each driver has one file beside the studies. Its first line names the search; each
further line is a record, complete if it ends in a newline. Lines are only appended.
The file is removed once the store holds all its records; a record that is written
again does no harm (see `ktune.tracking.delivery`).
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

_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Owner:
    """The search that records belong to.

    Attributes:
        search: Run id of the search.
        experiment: Name of the experiment.
        server: Address of its store, without a login.
    """

    search: str
    experiment: str
    server: str


@dataclass(frozen=True, eq=False)
class PendingRecord:
    """A queued record.

    Attributes:
        run_id: The run to update; for a new trial, the run of its search.
        record: Content to write.
        at: Timestamp in seconds since 1970.
        experiment_id: Id of the MLflow experiment for a new trial; else "".
    """

    run_id: str
    record: RunRecord
    at: float
    experiment_id: str = ""

    @property
    def is_trial(self) -> bool:
        """Whether it creates the run of a trial."""
        return bool(self.experiment_id)


@dataclass(frozen=True)
class PendingRecords:
    """Summary of a file of queued records.

    Attributes:
        path: The file.
        owner: The search that the records belong to.
        n_records: Number of records.
        n_trials: Number of trials among them.
        since: Timestamp of the first record in seconds since 1970.
    """

    path: Path
    owner: Owner
    n_records: int
    n_trials: int
    since: float

    @property
    def is_driven(self) -> bool:
        """Whether the search still runs, and will write the records itself."""
        return is_driven(self.path)


class PendingJournal:
    """A file of queued records, locked by this process until it is closed.

    Args:
        folder: Folder of the store; see `StoreLocation.folder`.
        owner: The search that the records belong to.
    """

    def __init__(self, folder: Path, owner: Owner) -> None:
        name = f"{owner.search}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        self.path = folder / names.WAITING / name
        self._lock = ExitStack()
        self._lock.enter_context(driving(self.path))
        self.path.touch()
        self._append(asdict(owner))

    def append(self, entry: PendingRecord) -> None:
        """Append a record, and force it to disk."""
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
        except OSError:  # disk full: a partial line would corrupt the next record
            os.truncate(self.path, end)
            raise

    def remove(self) -> None:
        """Remove the file once all its records are written."""
        self.path.unlink()
        self.close()

    def close(self) -> None:
        """Unlock the file, so that its records can be written later."""
        self._lock.close()


def list_pending(folder: Path) -> list[PendingRecords]:
    """Return the queued records below the folder of a store, oldest first.

    Raises:
        StoreError: A file is of another kind, or damaged.
    """
    files = map(_describe, (folder / names.WAITING).glob(f"*{_SUFFIX}"))
    return sorted((f for f in files if f.n_records), key=lambda f: f.since)


def read_pending_records(
    path: Path, start: int = 0
) -> Iterator[tuple[int, PendingRecord]]:
    """Yield the records of a file, each with the position of its end.

    Args:
        path: The file.
        start: Position to start from; 0 for all records.

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
                return  # the writer was killed: a partial record does not count
            with _report_damage(path):
                entry = _parse(json.loads(line))
            yield file.tell(), entry


def _describe(path: Path) -> PendingRecords:
    with path.open("rb") as file, _report_damage(path):
        first = file.readline()
        # The writer may have been killed before its first line.
        fields = json.loads(first) if first.endswith(b"\n") else {"search": ""}
        owner = Owner(**{"experiment": "", "server": "", **fields})
    since, n_records, n_trials = math.inf, 0, 0
    for _, entry in read_pending_records(path):
        since = min(since, entry.at)
        n_records += 1
        n_trials += entry.is_trial
    return PendingRecords(path, owner, n_records, n_trials, since)


@contextmanager
def _report_damage(path: Path) -> Iterator[None]:
    """Raise parsing errors as a `StoreError` that names the file."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is no file of records queued for MLflow, or is damaged: {error}. "
            "Move it away, or restore it from a copy"
        ) from error


def _parse(content: Mapping[str, Any]) -> PendingRecord:
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
