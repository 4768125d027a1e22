"""Bring records to their store, or keep them while its server is away.

A record may be brought twice: the answer of a server may be lost, and a kill may come
at any moment. So the run of a trial is looked for before it is made, by its search and
its number; what is half written is written again, with the same times, so that not
even a point of a curve is doubled.
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
    read_entries,
)
from ktune.utils.file_lock import driving

_BACKOFF_FACTOR = 10
"""A server that is away is asked again after so many times what asking has taken."""

_UNFINISHED = "RUNNING"


class Delivery:
    """Writes the records of a search, in the order they are made.

    While the server is away they wait in a file; it is asked again with every further
    record, and at the end.

    Args:
        store: Where they belong.
        owner: Whose they are.
        tell: Is told once when the server goes away, and once when it is back.
    """

    def __init__(self, store: Store, owner: Owner, tell: Callable[[str], None]) -> None:
        self._store, self._owner, self._tell = store, owner, tell
        self._server = store.location.shown
        self._journal: PendingJournal | None = None
        self._position = 0
        self._next_try = 0.0
        self.n_waiting = 0

    def add_run(
        self, experiment_id: str, search_run_id: str, record: RunRecord
    ) -> str | None:
        """Write the run of a trial; return its id, None if it waits."""
        return self._bring(
            PendingRecord(search_run_id, record, time.time(), experiment_id)
        )

    def update_run(self, run_id: str, record: RunRecord) -> None:
        """Add to a run; a record that is not RUNNING ends it."""
        self._bring(PendingRecord(run_id, record, time.time()))

    def flush(self) -> None:
        """Write what waits, now.

        Raises:
            ServerAway: The server is not back; it all waits on.
        """
        self._next_try = 0.0
        if self._journal is not None and not self._is_back():
            raise ServerUnavailable(f"the MLflow server {self._server} is still away")

    def close(self) -> None:
        """Leave what waits to `ktune sync`."""
        if self._journal is not None:
            self._journal.close()

    def _bring(self, entry: PendingRecord) -> str | None:
        if self._journal is None or self._is_back():
            try:
                return write(self._store, entry, is_first_try=True)
            except Exception as error:
                self._lose(error)
        self._keep(entry)
        return None

    def _lose(self, error: Exception) -> None:
        """Note that the server went away; any other error is raised again."""
        if not is_unavailable(error):
            raise error
        self._tell(
            f"The MLflow server {self._server} is away ({reason(error)}). The search "
            "goes on; its records wait here until it is back."
        )

    def _keep(self, entry: PendingRecord) -> None:
        if self._journal is None:
            self._journal = PendingJournal(self._store.location.folder, self._owner)
            self._position = 0
        self._journal.append(entry)
        self.n_waiting += 1

    def _is_back(self) -> bool:
        """Ask the server, unless that was just done; if it is there, write it all."""
        if time.monotonic() < self._next_try:
            return False
        started = time.monotonic()
        is_there = answers(self._store.location) and self._write_waiting()
        now = time.monotonic()
        self._next_try = now + _BACKOFF_FACTOR * (now - started)
        return is_there

    def _write_waiting(self) -> bool:
        """Write what waits; return whether the server was there to the end."""
        assert self._journal is not None
        count = self.n_waiting
        try:
            for position, entry in read_entries(self._journal.path, self._position):
                write(self._store, entry)
                self._position = position
                self.n_waiting -= 1
        except Exception as error:
            if not is_unavailable(error):
                raise
            return False
        self._journal.remove()
        self._journal = None
        self._tell(
            f"The MLflow server {self._server} is back; what waited ({count} records) "
            "is written."
        )
        return True


def write_waiting(store: Store, waiting: PendingRecords) -> None:
    """Write the records of a file, and remove it.

    Raises:
        ServerAway: The server went away; the file stays.
        StoreError: Its search still runs, or is not one of this store.
    """
    with driving(waiting.path), store_errors(store.location), quiet_mlflow():
        _require_search(store, waiting.owner)
        for _, entry in read_entries(waiting.path):
            write(store, entry)
        waiting.path.unlink()


def write(store: Store, entry: PendingRecord, *, is_first_try: bool = False) -> str:
    """Write a record, or the rest of it; return the id of the run it stands in.

    Args:
        store: Where it belongs.
        entry: The record.
        is_first_try: Nothing of it can be there yet, so nobody looks.
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
    for other in others:  # made by a request whose answer was lost
        if other.info.status == _UNFINISHED:
            store.give_up(other.info.run_id)
    return str(run.info.run_id)


def _was_finished(store: Store, search_run_id: str) -> bool:
    """Whether somebody has gone on with the search meanwhile, to its end."""
    return bool(store.client.get_run(search_run_id).info.status == "FINISHED")


def _runs_of(store: Store, entry: PendingRecord) -> list[Any]:
    """Return the runs there are of a trial, those that are complete first."""
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
            f"{store.location.shown}; its records wait for {owner.server}. Name that "
            "with --tracking-uri"
        ) from error
