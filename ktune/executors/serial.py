"""Evaluate trials one after another in this process."""

from collections.abc import Callable

from ktune.protocols import Report
from ktune.trial import Trial, TrialResult


class SerialExecutor:
    """Evaluates a trial in `wait`.

    Args:
        evaluate: Evaluates a trial, calling ``report`` after every epoch.
    """

    n_workers = 1

    def __init__(self, evaluate: Callable[[Trial, Report], TrialResult]) -> None:
        self._evaluate = evaluate
        self._submitted: list[Trial] = []

    def submit(self, trial: Trial) -> None:
        """Queue the trial until `wait` evaluates it."""
        self._submitted.append(trial)

    def wait(self, report: Report) -> tuple[Trial, TrialResult]:
        """Evaluate the trial that was submitted first."""
        trial = self._submitted.pop(0)
        return trial, self._evaluate(trial, report)

    def close(self) -> None:
        """Drop queued trials."""
        self._submitted.clear()
