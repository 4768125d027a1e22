"""Presence of the drivers of one search, and the lock between them.

Each driver is a trial of a separate study beside that of the search, so that Optuna's
heartbeat detects dead drivers: a RUNNING trial is a driver that works or finalizes the
search, all other drivers have left. Trial numbers also make driver numbers unique.

Operations that must not happen twice (asking for a trial, finalizing the search) need
the lock. The lock is a row of a table: an update that only one driver can win acquires
it, also from a driver that died while it held the lock.
"""

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.storages import fail_stale_trials
from optuna.trial import TrialState as OptunaState
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from ktune.errors import StoreError
from ktune.searchers import database
from ktune.searchers.database import Database, database_errors
from ktune.searchers.study import quiet

_LOCKS = Table(
    "ktune_turns",
    MetaData(),
    Column("study", String(255), primary_key=True),
    Column("holder", Integer, nullable=False),
)
_UNLOCKED = -1
_ADDRESS = "ktune.place"
_FINALIZES = "ktune.closes"
_NOTHING = -1
_POLL_SECONDS = (0.02, 0.2)
"""Range of the random pause between two attempts to acquire the lock."""


class Drivers:
    """This driver of a search, and its view of the others.

    Args:
        base: The database of the search's study.
        name: Name of that study.

    Attributes:
        number: Number of this driver, counted from 0.
        present: Numbers of all running drivers, updated when the lock is acquired.
    """

    def __init__(self, base: Database, name: str) -> None:
        self._base = base
        self._name = name
        with database_errors(base.url), quiet():
            self._study = optuna.create_study(
                study_name=f"{name}/drivers", storage=base.storage, load_if_exists=True
            )
            self._create_lock()
            self._trial = self._study.ask()
            self.number = self._trial.number
            self._record_heartbeat()
            # Last: a driver without an address does not count as present yet.
            self._trial.set_user_attr(_ADDRESS, f"{socket.gethostname()}:{os.getpid()}")
        self.present: frozenset[int] = frozenset({self.number})
        self._has_left = threading.Event()
        threading.Thread(target=self._send_heartbeats, daemon=True).start()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock for the block.

        Raises:
            StoreError: The other drivers presume this one dead.
        """
        with database_errors(self._base.url):
            while not self._acquire_lock():
                time.sleep(random.uniform(*_POLL_SECONDS))
        try:
            self.check_in()
            yield
        finally:
            with database_errors(self._base.url):
                self._transfer_lock(self.number, _UNLOCKED)

    def check_in(self) -> None:
        """Send a heartbeat, and check that this driver is still present.

        Raises:
            StoreError: The other drivers presume this one dead.
        """
        with database_errors(self._base.url):
            self._record_heartbeat()
            self.present = frozenset(self._find_running())
        if self.number not in self.present:
            raise StoreError(database.presumed_dead_message())

    def addresses(self) -> list[str]:
        """Return the addresses of the other drivers, as ``host:process``."""
        running = self._find_running()
        return [
            str(trial.user_attrs[_ADDRESS])
            for number, trial in sorted(running.items())
            if number != self.number
        ]

    def finalized_counts(self) -> list[int | None]:
        """Return for each other driver the number of trials it finalizes.

        None stands for a driver that still evaluates trials, -1 for one that is about
        to leave.
        """
        running = self._find_running()
        return [
            trial.user_attrs.get(_FINALIZES)
            for number, trial in running.items()
            if number != self.number
        ]

    def mark_finalizing(self, n_trials: int = _NOTHING) -> None:
        """Record that this driver asks no more, and how many trials it finalizes."""
        self._trial.set_user_attr(_FINALIZES, n_trials)

    def leave(self) -> None:
        """Mark this driver as gone; idempotent, and safe without the database."""
        if self._has_left.is_set():
            return
        self._has_left.set()
        with contextlib.suppress(StoreError), database_errors(self._base.url), quiet():
            self._study.tell(self.number, 0.0, skip_if_finished=True)

    def _find_running(self) -> Mapping[int, Any]:
        with quiet():
            fail_stale_trials(self._study)
            running = self._study.get_trials(
                deepcopy=False, states=(OptunaState.RUNNING,)
            )
        return {t.number: t for t in running if _ADDRESS in t.user_attrs}

    def _record_heartbeat(self) -> None:
        # Private, but Optuna sends heartbeats only in its own loop.
        self._base.storage.record_heartbeat(self._trial._trial_id)

    def _send_heartbeats(self) -> None:
        while not self._has_left.wait(database.HEARTBEAT_INTERVAL):
            # The driver itself reports a database that is unavailable.
            with contextlib.suppress(Exception):
                self._record_heartbeat()

    def _create_lock(self) -> None:
        _LOCKS.metadata.create_all(self._base.engine)
        row = insert(_LOCKS).values(study=self._name, holder=_UNLOCKED)
        with contextlib.suppress(IntegrityError), self._base.engine.begin() as link:
            link.execute(row)

    def _acquire_lock(self) -> bool:
        query = select(_LOCKS.c.holder).where(_LOCKS.c.study == self._name)
        with self._base.engine.connect() as link:
            holder = link.execute(query).scalar_one()
        if holder not in (_UNLOCKED, self.number) and holder in self._find_running():
            return False
        return self._transfer_lock(holder, self.number)

    def _transfer_lock(self, holder: int, to: int) -> bool:
        """Change the holder of the lock; return whether ``holder`` still held it."""
        is_held = (_LOCKS.c.study == self._name) & (_LOCKS.c.holder == holder)
        with self._base.engine.begin() as link:
            updated = link.execute(update(_LOCKS).where(is_held).values(holder=to))
        return updated.rowcount == 1
