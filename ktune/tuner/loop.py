"""The loop of a search: ask, submit, report, track, tell."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from ktune.errors import ConstraintViolated, SearchAborted
from ktune.executors.failures import process_ended
from ktune.listener import Listener
from ktune.protocols import DriverCounts, Executor, OtherDrivers, Searcher
from ktune.trial import EpochReport, Trial, TrialResult, TrialState
from ktune.utils.interrupts import note_interrupt, shielded

FIRST_FAILURES = 5
"""Number of failures at the start, all with the same reason, that abort the search."""

FIRST_VIOLATIONS = 30
"""The same number for models above a limit, which fail quickly without training."""

POLL_SECONDS = 1.0
"""Seconds between two checks of the trials of other drivers."""


@dataclass
class LoopOutcome:
    """Outcome of the loop."""

    finished: int = 0
    """Number of complete or pruned trials of this driver."""
    asked: int = 0
    reason: str = "all trials done"
    is_interrupted: bool = False
    failures: Counter[str] = field(default_factory=Counter)
    """Number of failed trials by reason."""
    failed_kinds: set[str] = field(default_factory=set)
    """The types of these failures."""
    has_complete: bool = False
    """Whether a trial is complete, so that there is a model to register."""


class SearchLoop:
    """Runs trials until enough are finished, time is up, or the space is exhausted.

    A finished trial is first tracked (its MLflow run is complete), then passed to the
    searcher with `tell`. After a crash in between, a resumed search repeats `tell`.

    Several drivers of a search share the number of trials: a driver without trials to
    ask for waits for the last trials of the others, in case one of them is lost.

    Args:
        searcher: Proposes trials.
        executor: Evaluates them.
        track: Records a finished trial.
        listener: Receives all events.
        trials: Number of finished trials.
        timeout: Wall time in seconds; running trials stop before the epoch that would
            exceed it.
        reserve: Returns the seconds of it to keep free for the end of the search.
        trial_timeout: Wall time for one trial; it stops at its next epoch.
        outcome: Outcome of an interrupted search so far; None for a new search.
        other_drivers: The other drivers of the search; None for a single driver.
    """

    def __init__(
        self,
        searcher: Searcher,
        executor: Executor,
        *,
        track: Callable[[Trial, TrialResult], None],
        listener: Listener,
        trials: int,
        timeout: float | None = None,
        reserve: Callable[[], float] = lambda: 0.0,
        trial_timeout: float | None = None,
        outcome: LoopOutcome | None = None,
        other_drivers: OtherDrivers | None = None,
    ) -> None:
        self._searcher = searcher
        self._executor = executor
        self._track = track
        self._listener = listener
        self._wanted = trials
        self._trial_timeout = trial_timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._reserve = reserve
        self._reserved = 0.0 if timeout is None else reserve()
        self._running: dict[int, Trial] = {}
        self._started: dict[int, float] = {}
        self._reported: dict[int, float] = {}
        self._stopped_by_time: set[int] = set()
        self.outcome = outcome or LoopOutcome()
        self._other_drivers = other_drivers
        self._others = DriverCounts()
        self._is_waiting = False

    def run(self) -> LoopOutcome:
        """Run the loop; Ctrl-C ends it early, and finished trials are kept.

        Raises:
            SearchAborted: The first trials all failed for the same reason.
        """
        try:
            while self._start_trials() or self._wait_for_others():
                if self._running:
                    self._end_trial(*self._executor.wait(self._report))
        except KeyboardInterrupt:
            note_interrupt()
            self.outcome.is_interrupted = True
            self.outcome.reason = "interrupted"
        finally:
            self._executor.close()
        return self.outcome

    def _start_trials(self) -> bool:
        """Start trials on idle workers; return whether any trial is running."""
        while len(self._running) < self._executor.n_workers:
            trial = self._ask()
            if trial is None:
                break
            self._running[trial.number] = trial
            self._started[trial.number] = time.monotonic()
            self._reported[trial.number] = self._started[trial.number]
            self.outcome.asked += 1
            self._listener.on_trial_start(trial)
            if trial.has_ended_process:
                self._end_trial(trial, process_ended())
            else:
                self._executor.submit(trial)
        return bool(self._running)

    def _ask(self) -> Trial | None:
        """Return the next trial; None if there is none now, or enough trials."""
        lock = (
            self._other_drivers.lock()
            if self._other_drivers
            else nullcontext(DriverCounts())
        )
        with lock as self._others:
            if not self._wants_more():
                return None
            trial = self._searcher.ask()
        if trial is None and not self._running:
            self.outcome.reason = "the space is exhausted"
        return trial

    def _wait_for_others(self) -> bool:
        """Wait a moment if other drivers run the last trials."""
        if not self._others.running or self._is_timed_out():
            return False
        if not self._is_waiting:
            self._listener.on_phase("waiting for the last trials of other drivers")
            self._is_waiting = True
        time.sleep(POLL_SECONDS)
        return True

    def _wants_more(self) -> bool:
        running = len(self._running) + self._others.running
        if self.outcome.finished + self._others.finished + running >= self._wanted:
            return False
        if self._stopped_by_time or self._is_timed_out():
            self.outcome.reason = "time is up"
            return False
        if self._searcher.is_exhausted:
            self.outcome.reason = "the space is exhausted"
            return False
        # Failed trials are replaced, up to a limit.
        asked = self.outcome.asked + self._others.asked
        if asked >= 2 * self._wanted + self._allowed_failures():
            self.outcome.reason = "too many trials failed"
            return False
        return True

    def _allowed_failures(self) -> int:
        """Return the allowed failures beyond one per requested trial."""
        is_limited = ConstraintViolated.__name__ in self.outcome.failed_kinds
        return FIRST_VIOLATIONS if is_limited else FIRST_FAILURES

    def _end_trial(self, trial: Trial, result: TrialResult) -> None:
        del self._running[trial.number]
        result = self._as_only_result(trial, result)
        if self._other_drivers:
            self._other_drivers.check_in()
        with shielded():
            self._track(trial, result)
            self._searcher.tell(trial, result)
            self._count(result)
        if self._deadline is not None:  # it ranks all trials: not at every epoch
            self._reserved = self._reserve()
        self._listener.on_trial_end(trial, result)
        self._abort_if_all_failed()

    def _report(self, report: EpochReport) -> bool:
        self._listener.on_epoch(report)
        trial = self._running[report.trial_number]
        continues = self._searcher.report(trial, report.epoch, report.value)
        if self._is_timed_out(self._seconds_of_epoch(trial)):
            self.outcome.reason = "time is up"
            self._stopped_by_time.add(trial.number)
            return False
        return continues and not self._is_overdue(trial)

    def _is_overdue(self, trial: Trial) -> bool:
        """Whether a trial exceeds its time limit."""
        if self._trial_timeout is None:
            return False
        spent = time.monotonic() - self._started[trial.number]
        return spent >= self._trial_timeout

    def _seconds_of_epoch(self, trial: Trial) -> float:
        """Return the time since the last report of a trial: its next one takes it."""
        now, before = time.monotonic(), self._reported[trial.number]
        self._reported[trial.number] = now
        return now - before

    def _is_timed_out(self, next_seconds: float = 0.0) -> bool:
        """Whether time is up, or will be before the next epoch ends."""
        if self._deadline is None:
            return False
        left = self._deadline - self._reserved - time.monotonic()
        return left <= 0 or left < next_seconds

    def _as_only_result(self, trial: Trial, result: TrialResult) -> TrialResult:
        """Count a trial that time has stopped as complete if there is no other one.

        It is scored like a trial with fewer epochs, and a search has a model.
        """
        is_scored = result.score is not None and result.best_epoch is not None
        is_stopped = trial.number in self._stopped_by_time
        if self.outcome.has_complete or not (is_scored and is_stopped):
            return result
        return replace(result, state=TrialState.COMPLETE)

    def _count(self, result: TrialResult) -> None:
        self.outcome.has_complete |= result.is_complete
        if result.state is not TrialState.FAILED:
            self.outcome.finished += 1
        elif result.failure is not None:
            self.outcome.failures[result.failure.reason] += 1
            self.outcome.failed_kinds.add(result.failure.kind)

    def _abort_if_all_failed(self) -> None:
        failures = self.outcome.failures
        finished = self.outcome.finished + self._others.finished
        if finished or failures.total() < self._allowed_failures():
            return
        if len(failures) == 1:
            reason = next(iter(failures))
            raise SearchAborted(
                f"the first {failures.total()} trials all failed for the same reason: "
                f"{reason}"
            )
