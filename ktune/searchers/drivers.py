"""The drivers of one search: who is there, and whose turn it is.

Each is a trial of a study of its own beside that of the search, so that Optuna's
heartbeat tells who is alive: RUNNING is at work or closing the search, everything else
has gone. Numbers of drivers are unique for the same reason.

What must not happen twice (asking for a trial, closing the search) is done in turn.
The turn is a row of a table: taken by an update that only one can win, and taken away
from a driver that has died in it.
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

_TURNS = Table(
    "ktune_turns",
    MetaData(),
    Column("study", String(255), primary_key=True),
    Column("holder", Integer, nullable=False),
)
_NOBODY = -1
_PLACE = "ktune.place"
_CLOSES = "ktune.closes"
_NOTHING = -1
_SOON = (0.02, 0.2)
"""Between these many seconds somebody waits who wants the turn."""


class Drivers:
    """This driver of a search among the others.

    Args:
        base: The database of the search's study.
        name: Of that study.

    Attributes:
        number: Of this driver, counted from 0.
        present: The numbers of all drivers there are, as of the beginning of the turn.
    """

    def __init__(self, base: Database, name: str) -> None:
        self._base = base
        self._name = name
        with database_errors(base.url), quiet():
            self._study = optuna.create_study(
                study_name=f"{name}/drivers", storage=base.storage, load_if_exists=True
            )
            self._make_turn()
            self._trial = self._study.ask()
            self.number = self._trial.number
            self._beat()
            # Last: who has not got here is not present, and cannot be missed.
            self._trial.set_user_attr(_PLACE, f"{socket.gethostname()}:{os.getpid()}")
        self.present: frozenset[int] = frozenset({self.number})
        self._has_left = threading.Event()
        threading.Thread(target=self._keep_beating, daemon=True).start()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one among the drivers for the block.

        Raises:
            StoreError: The others have taken this driver for dead.
        """
        with database_errors(self._base.url):
            while not self._take_turn():
                time.sleep(random.uniform(*_SOON))
        try:
            self.check_in()
            yield
        finally:
            with database_errors(self._base.url):
                self._pass_turn(self.number, _NOBODY)

    def check_in(self) -> None:
        """Give a sign of life, and look whether the others count on this driver.

        Raises:
            StoreError: They have taken it for dead.
        """
        with database_errors(self._base.url):
            self._beat()
            self.present = frozenset(self._find_present())
        if self.number not in self.present:
            raise StoreError(database.lost())

    def places(self) -> list[str]:
        """Return where the other drivers run, as ``host:process``."""
        found = self._find_present()
        return [
            str(trial.user_attrs[_PLACE])
            for number, trial in sorted(found.items())
            if number != self.number
        ]

    def closes(self) -> list[int | None]:
        """Return what each of the others does: None is at work, n closes n trials.

        One that is about to leave closes -1 trials.
        """
        found = self._find_present()
        return [
            trial.user_attrs.get(_CLOSES)
            for number, trial in found.items()
            if number != self.number
        ]

    def note_closing(self, n_trials: int = _NOTHING) -> None:
        """Say that this driver is no longer at work; it closes so many trials."""
        self._trial.set_user_attr(_CLOSES, n_trials)

    def leave(self) -> None:
        """Be gone; safe to call twice, and when the database is not there."""
        if self._has_left.is_set():
            return
        self._has_left.set()
        with contextlib.suppress(StoreError), database_errors(self._base.url), quiet():
            self._study.tell(self.number, 0.0, skip_if_finished=True)

    def _find_present(self) -> Mapping[int, Any]:
        with quiet():
            fail_stale_trials(self._study)
            running = self._study.get_trials(
                deepcopy=False, states=(OptunaState.RUNNING,)
            )
        return {t.number: t for t in running if _PLACE in t.user_attrs}

    def _beat(self) -> None:
        # Private, but Optuna beats in its own loop only.
        self._base.storage.record_heartbeat(self._trial._trial_id)

    def _keep_beating(self) -> None:
        while not self._has_left.wait(database.HEARTBEAT):
            # A database that is away for a moment is the driver's own matter.
            with contextlib.suppress(Exception):
                self._beat()

    def _make_turn(self) -> None:
        _TURNS.metadata.create_all(self._base.engine)
        row = insert(_TURNS).values(study=self._name, holder=_NOBODY)
        with contextlib.suppress(IntegrityError), self._base.engine.begin() as link:
            link.execute(row)

    def _take_turn(self) -> bool:
        of_ours = select(_TURNS.c.holder).where(_TURNS.c.study == self._name)
        with self._base.engine.connect() as link:
            holder = link.execute(of_ours).scalar_one()
        if holder not in (_NOBODY, self.number) and holder in self._find_present():
            return False
        return self._pass_turn(holder, self.number)

    def _pass_turn(self, holder: int, to: int) -> bool:
        """Pass the turn on; False: its holder has not had it any more."""
        is_held = (_TURNS.c.study == self._name) & (_TURNS.c.holder == holder)
        with self._base.engine.begin() as link:
            found = link.execute(update(_TURNS).where(is_held).values(holder=to))
        return found.rowcount == 1
