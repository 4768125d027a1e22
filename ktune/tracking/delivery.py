"""Deliver records to their store, or queue them while its server is unavailable.

A record may be delivered twice: a response of the server may be lost, and the process
may be killed at any moment. Therefore the run of a trial is looked up by its search
and its number before it is created. A run that was not finished is written again with
the same timestamps, so no point of a curve is duplicated.
"""

import time
from collections.abc import Callable
from typing import Any

from ktune.errors import ServerUnavailable, StoreError
from ktune.tracking import names
from ktune.tracking.connectivity import answers, is_unavailable, reason
from ktune.tracking.records import RunRecord
from ktune.tracking.store import Store, pages, quiet_mlflow, store_errors
from ktune.tracking.waiting import (
    Owner,
    PendingJournal,
    PendingRecord,
    PendingRecords,
    read_pending_records,
)
from ktune.utils.file_lock import driving
from ktune.utils.text import count_of

_BACKOFF_FACTOR = 10
"""Pause between two connection attempts, as a multiple of an attempt's duration."""

_UNFINISHED = "RUNNING"


class Delivery:
    """Writes the records of a search in the order of their creation.

    While the server is unavailable, records are queued in a file. Every further
    record and `flush` try to reconnect.

    Args:
        store: The store of the search.
        owner: The search that the records belong to.
        notify: Called with a message when the connection is lost and restored.
    """

    def __init__(
        self, store: Store, owner: Owner, notify: Callable[[str], None]
    ) -> None:
        self._store, self._owner, self._notify = store, owner, notify
        self._server = store.location.shown
        self._journal: PendingJournal | None = None
        self._position = 0
        self._next_try = 0.0
        self.n_pending = 0

    def add_run(
        self, experiment_id: str, search_run_id: str, record: RunRecord
    ) -> str | None:
        """Write the run of a trial; return its id, or None if it is queued."""
        return self._deliver(
            PendingRecord(search_run_id, record, self._store.clock.now(), experiment_id)
        )

    def update_run(self, run_id: str, record: RunRecord) -> None:
        """Add to a run; a record that is not RUNNING ends it."""
        self._deliver(PendingRecord(run_id, record, self._store.clock.now()))

    def flush(self) -> None:
        """Write the queued records now.

        Raises:
            ServerUnavailable: The server does not answer; the records stay queued.
        """
        self._next_try = 0.0
        if self._journal is not None and not self._reconnect():
            raise ServerUnavailable(
                f"the MLflow server {self._server} is still unavailable"
            )

    def close(self) -> None:
        """Leave queued records to `ktune sync`."""
        if self._journal is not None:
            self._journal.close()

    def _deliver(self, entry: PendingRecord) -> str | None:
        if self._journal is None or self._reconnect():
            try:
                return write(self._store, entry, is_first_try=True)
            except Exception as error:
                self._report_unavailable(error)
        self._append_to_journal(entry)
        return None

    def _report_unavailable(self, error: Exception) -> None:
        """Notify that the connection is lost; any other error is raised again."""
        if not is_unavailable(error):
            raise error
        self._notify(
            f"The MLflow server {self._server} is unavailable ({reason(error)}). The "
            "search continues; its records are kept here until the server is back."
        )

    def _append_to_journal(self, entry: PendingRecord) -> None:
        if self._journal is None:
            self._journal = PendingJournal(self._store.location.folder, self._owner)
            self._position = 0
        self._journal.append(entry)
        self.n_pending += 1

    def _reconnect(self) -> bool:
        """Write the queued records if the server answers, unless just attempted."""
        if time.monotonic() < self._next_try:
            return False
        started = time.monotonic()
        is_connected = answers(self._store.location) and self._write_pending()
        now = time.monotonic()
        self._next_try = now + _BACKOFF_FACTOR * (now - started)
        return is_connected

    def _write_pending(self) -> bool:
        """Write the queued records; return whether the server answered throughout."""
        assert self._journal is not None
        count = self.n_pending
        try:
            for position, entry in read_pending_records(
                self._journal.path, self._position
            ):
                write(self._store, entry)
                self._position = position
                self.n_pending -= 1
        except Exception as error:
            if not is_unavailable(error):
                raise
            return False
        self._journal.remove()
        self._journal = None
        self._notify(
            f"The MLflow server {self._server} is back; "
            f"{count_of(count, 'queued record')} written."
        )
        return True


def write_pending(store: Store, waiting: PendingRecords) -> None:
    """Write the records of a file, and remove it.

    Raises:
        ServerUnavailable: The server stopped answering; the file stays.
        StoreError: The search still runs, or belongs to another store.
    """
    with driving(waiting.path), store_errors(store.location), quiet_mlflow():
        _require_search(store, waiting.owner)
        for _, entry in read_pending_records(waiting.path):
            write(store, entry)
        waiting.path.unlink()


def write(store: Store, entry: PendingRecord, *, is_first_try: bool = False) -> str:
    """Write a record, or the missing rest of it; return the id of its run.

    Args:
        store: The store of its search.
        entry: The record.
        is_first_try: The record was never sent before, so no run is looked up.
    """
    if not entry.is_trial:
        if is_first_try or not _was_finished(store, entry.run_id):
            store.update_run(entry.run_id, entry.record, entry.at)
        return entry.run_id
    found = [] if is_first_try else _runs_of(store, entry)
    if not found:
        return store.add_run(entry.experiment_id, entry.run_id, entry.record, entry.at)
    run, *others = found
    if run.info.status == _UNFINISHED:
        store.update_run(run.info.run_id, entry.record, entry.at)
    for other in others:  # created by a request whose response was lost
        if other.info.status == _UNFINISHED:
            store.mark_interrupted(other.info.run_id)
    return str(run.info.run_id)


def _was_finished(store: Store, search_run_id: str) -> bool:
    """Whether the search was resumed and finished in the meantime."""
    return bool(store.client.get_run(search_run_id).info.status == "FINISHED")


def _runs_of(store: Store, entry: PendingRecord) -> list[Any]:
    """Return the runs of a trial, complete ones first."""
    number = entry.record.tags[names.TRIAL_NUMBER]
    query = (
        f"tags.`{names.PARENT}` = '{entry.run_id}' and "
        f"tags.`{names.TRIAL_NUMBER}` = '{number}'"
    )
    runs = pages(store.client, [entry.experiment_id], query)
    valid = [r for r in runs if r.data.tags.get(names.STATE) != names.INTERRUPTED]
    return sorted(valid, key=lambda run: bool(run.info.status == _UNFINISHED))


def _require_search(store: Store, owner: Owner) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_run(owner.search)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise StoreError(
            f"search {owner.search[:8]} of {owner.experiment!r} is not in "
            f"{store.location.shown}; its records belong to {owner.server}. Name that "
            "store with --tracking-uri"
        ) from error
