"""A study in a database, driven by several processes on as many machines.

Everything a trial goes through is written by one driver, as in a study of one: it asks
in its turn, so that numbers are consecutive, nothing is tried twice and the budget is
kept to the trial; it evaluates, tracks and tells on its own. In every turn the trials
of drivers that have died are taken over: told, if MLflow has their result already, else
to be repeated under their number.

The last driver at work closes the search (refit, registration, report). Which one that
is gets decided in a turn, too.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ktune.errors import StoreError
from ktune.protocols import DriverCounts
from ktune.searchers.database import Database, database_errors
from ktune.searchers.discovery import Declare
from ktune.searchers.driven_study import FindResult
from ktune.searchers.drivers import Drivers
from ktune.searchers.parameter import parameter_to_json
from ktune.searchers.same_space import check_same_space, note_space
from ktune.searchers.study import quiet, study_in
from ktune.searchers.trial_record import TrialRecord
from ktune.searchers.trial_store import TrialStore
from ktune.trial import TrialState

if TYPE_CHECKING:
    from ktune.metrics.ranking import Goal

_CLOSED = "ktune.closed"


class SharedStudy:
    """The study of a search in a database.

    Args:
        base: The database.
        name: Name of the study.
        declare: Asks an ``hp`` for everything a trial needs.
        is_new: Whether it is to be made; otherwise it must be there.
    """

    is_shared = True

    def __init__(
        self, base: Database, name: str, declare: Declare, *, is_new: bool
    ) -> None:
        self._base = base
        self._name = name
        self._declare = declare
        self._is_new = is_new
        self._find_result: FindResult | None = None
        self._trial_store: TrialStore | None = None

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Drive the search in the block, among others.

        Raises:
            StoreError: The study is not there, or the database cannot be used.
            ExperimentError: The others have another space.
        """
        if not self._is_new:
            self._check_study()
        self._drivers = Drivers(self._base, self._name)
        try:
            with self._drivers.turn():
                pass  # from here on nobody ends the search without looking for us
            with database_errors(self._base.url):
                yield
        finally:
            self._drivers.leave()
            self._base.engine.dispose()

    def other_places(self) -> Sequence[str]:
        """Return where the other drivers run."""
        return self._drivers.places()

    def open_trial_store(
        self, goal: "Goal", find_result: FindResult | None
    ) -> TrialStore:
        """Return the record of the search; to be called in a turn.

        Args:
            goal: What is searched for.
            find_result: Returns the result of a trial whose driver has died, if it
                was recorded before.
        """
        with quiet():
            study = study_in(self._base.storage, self._name, goal)
        if self._is_new:
            note_space(self._declare, study)
        self._trial_store = TrialStore(study, self._drivers)
        self._find_result = find_result
        self._trial_store.recover(find_result)
        return self._trial_store

    @contextlib.contextmanager
    def turn(self) -> Iterator[DriverCounts]:
        """Be the only one among the drivers; yield what the others have done.

        Raises:
            StoreError: They have taken this driver for dead.
        """
        with self._drivers.turn():
            if self._trial_store is None:
                yield DriverCounts()
                return
            self._trial_store.recover(self._find_result)
            yield self._others(self._trial_store.entries())

    def check_in(self) -> None:
        """Make sure that the others still count on this driver.

        Raises:
            StoreError: They have taken it for dead, and its trials over.
        """
        self._drivers.check_in()

    def space(self) -> Mapping[str, Any]:
        """Return what parameters can be, as JSON: reports cannot ask the database."""
        found = self._open().parameters()
        return {key: parameter_to_json(found[key]) for key in found}

    def try_finalize(self) -> bool:
        """Stop asking; answer whether the search is left to this driver to close.

        It is not while others are at work, or when they are closing what there is,
        or have closed it.
        """
        with self.turn():
            told = self._n_told()
            others = self._drivers.closes()
            is_last = None not in others
            is_taken = told in (*others, self._open().study.user_attrs.get(_CLOSED))
            if not is_last or is_taken:
                self._drivers.note_closing()
                return False
            self._drivers.note_closing(told)
            self._closing = told
            return True

    def mark_finalized(self) -> None:
        """Say that this driver has closed what it has claimed."""
        self._open().study.set_user_attr(_CLOSED, self._closing)

    def leave(self, finish: Callable[[], None]) -> None:
        """Be gone; whoever is the last one ends the search.

        Raises:
            StoreError: The others have taken this driver for dead.
        """
        with self._drivers.turn():
            if len(self._drivers.present) == 1:
                finish()
            self._drivers.leave()

    def _check_study(self) -> None:
        with database_errors(self._base.url), quiet():
            try:
                study = study_in(self._base.storage, self._name, None)
                check_same_space(self._declare, study)
            except KeyError:
                raise StoreError(
                    f"the database {self._base} does not hold this search. Name the "
                    "one it was started with by --storage"
                ) from None

    def _open(self) -> TrialStore:
        assert self._trial_store is not None
        return self._trial_store

    def _n_told(self) -> int:
        return sum(entry.state is not None for entry in self._open().entries())

    def _others(self, entries: list[TrialRecord]) -> DriverCounts:
        theirs = [e for e in entries if e.driver != self._drivers.number]
        finished = (TrialState.COMPLETE, TrialState.PRUNED)
        return DriverCounts(
            finished=sum(entry.state in finished for entry in theirs),
            running=sum(entry.is_running for entry in theirs),
            asked=len(theirs),
        )
