"""A study in a database, driven by several processes on several machines.

One driver writes all records of a trial, as in a study with a single driver. It asks
while it holds the lock, so that numbers are consecutive, no configuration is tried
twice and the number of trials is exact; it evaluates, tracks and tells without the
lock. Whenever a driver acquires the lock, it recovers the trials of dead drivers: a
trial with a result in MLflow is finished, any other is repeated under its number. A
trial at which two drivers died is recorded as failed.

The last working driver finalizes the search (refit, registration, report). The drivers
determine it under the lock, too.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ktune.errors import StoreError
from ktune.protocols import DriverCounts
from ktune.searchers.attempts import SharedAttempts
from ktune.searchers.database import Database, database_errors
from ktune.searchers.discovery import Declare
from ktune.searchers.driven_study import FindResult
from ktune.searchers.drivers import Drivers
from ktune.searchers.parameter import parameter_to_json
from ktune.searchers.same_space import check_same_space, record_space
from ktune.searchers.study import quiet, study_in
from ktune.searchers.trial_record import TrialRecord
from ktune.searchers.trial_store import TrialStore
from ktune.trial import TrialState

if TYPE_CHECKING:
    from ktune.metrics.ranking import Goal

_FINALIZED = "ktune.closed"


class SharedStudy:
    """The study of a search in a database.

    Args:
        base: The database.
        name: Name of the study.
        declare: Requests all hyperparameters of a trial from an ``hp``.
        is_new: Whether to create the study; otherwise it must exist.
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
        """Drive the search in the block together with other drivers.

        Raises:
            StoreError: The study does not exist, or the database is unusable.
            ExperimentError: The other drivers have another space.
        """
        if not self._is_new:
            self._check_study()
        self._drivers = Drivers(self._base, self._name)
        try:
            with self._drivers.lock():
                pass  # from here on other drivers see this one before they finalize
            with database_errors(self._base.url):
                yield
        finally:
            self._remove_attempt()
            self._drivers.leave()
            self._base.engine.dispose()

    def other_addresses(self) -> Sequence[str]:
        """Return the addresses of the other drivers."""
        return self._drivers.addresses()

    def open_trial_store(
        self, goal: "Goal", find_result: FindResult | None
    ) -> TrialStore:
        """Return the trial store of the search; the caller must hold the lock.

        Args:
            goal: The objectives.
            find_result: Returns the result of a trial by its number, if its dead
                driver recorded it.
        """
        with quiet():
            study = study_in(self._base.storage, self._name, goal)
        if self._is_new:
            record_space(self._declare, study)
        self._trial_store = TrialStore(study, self._drivers)
        self._find_result = find_result
        self._trial_store.recover(find_result)
        return self._trial_store

    @contextlib.contextmanager
    def lock(self) -> Iterator[DriverCounts]:
        """Hold the lock, and yield the trial counts of the other drivers.

        Raises:
            StoreError: The other drivers presume this one dead.
        """
        with self._drivers.lock():
            if self._trial_store is None:
                yield DriverCounts()
                return
            self._trial_store.recover(self._find_result)
            yield self._count_others(self._trial_store.records())

    def check_in(self) -> None:
        """Check that this driver is still present to the others.

        Raises:
            StoreError: The others presume it dead, and have taken over its trials.
        """
        self._drivers.check_in()

    def attempts(self) -> SharedAttempts | None:
        """Return the records of the drivers in the study; None before it is open."""
        if self._trial_store is None:
            return None
        return SharedAttempts(self._trial_store.study, self._drivers)

    def _remove_attempt(self) -> None:
        """Record that the trial at work has not ended this driver."""
        # The error that ends the session reports a database that is unavailable.
        with contextlib.suppress(StoreError), database_errors(self._base.url), quiet():
            if attempts := self.attempts():
                attempts.remove()

    def space(self) -> Mapping[str, Any]:
        """Return the parameters as JSON, since reports do not read the database."""
        parameters = self._open().parameters()
        return {key: parameter_to_json(parameters[key]) for key in parameters}

    def try_finalize(self) -> bool:
        """Stop asking; return whether this driver is to finalize the search.

        It is not if other drivers still evaluate trials, or if the same trials are
        being finalized or have been finalized by another driver.
        """
        with self.lock():
            n_finished = self._n_finished()
            others = self._drivers.finalized_counts()
            is_last = None not in others
            finalized = self._open().study.user_attrs.get(_FINALIZED)
            if not is_last or n_finished in (*others, finalized):
                self._drivers.mark_finalizing()
                return False
            self._drivers.mark_finalizing(n_finished)
            self._n_finalizing = n_finished
            return True

    def mark_finalized(self) -> None:
        """Record the number of trials that this driver has finalized."""
        self._open().study.set_user_attr(_FINALIZED, self._n_finalizing)

    def leave(self, finish: Callable[[], None]) -> None:
        """Leave the search; the last driver ends it by ``finish``.

        Raises:
            StoreError: The other drivers presume this one dead.
        """
        with self._drivers.lock():
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
                    f"the database {self._base} does not contain this search. Name the "
                    "database it was started with by --storage"
                ) from None

    def _open(self) -> TrialStore:
        assert self._trial_store is not None
        return self._trial_store

    def _n_finished(self) -> int:
        return sum(record.state is not None for record in self._open().records())

    def _count_others(self, records: list[TrialRecord]) -> DriverCounts:
        others = [r for r in records if r.driver != self._drivers.number]
        finished = (TrialState.COMPLETE, TrialState.PRUNED)
        return DriverCounts(
            finished=sum(record.state in finished for record in others),
            running=sum(record.is_running for record in others),
            asked=len(others),
        )
