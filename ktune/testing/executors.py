"""The contract of an executor with workers, tested by a subclass."""

# ruff: noqa: D102 - the names of tests are sentences

import os
import signal
from collections.abc import Callable

import numpy as np

from ktune.protocols import Executor, Report
from ktune.testing.fakes import make_trial
from ktune.trial import EpochReport, Trial, TrialResult, TrialState

TABLE = np.arange(10_000.0)
EPOCHS = 3
DEADLY = 13
"""Number of the trial that kills its worker."""


def make_evaluate(table: np.ndarray) -> Callable[[Trial, Report], TrialResult]:
    """Return an evaluation that reports three epochs; its score is the table's sum.

    It is a local function, so it is pickled by value, with the table.
    """

    def evaluate(trial: Trial, report: Report) -> TrialResult:
        if trial.number == DEADLY:
            os.write(1, b"this is the end of my log")
            os.kill(os.getpid(), signal.SIGKILL)
        for epoch in range(EPOCHS):
            if not report(EpochReport(trial.number, epoch, EPOCHS, epoch / 10)):
                return TrialResult(TrialState.PRUNED, score=0.0, epochs=epoch + 1)
        if table.flags.writeable:
            raise AssertionError("this worker has a copy of the table")
        # The process id, in a field that can hold a number.
        score, pid = float(table.sum()), os.getpid()
        return TrialResult(
            TrialState.COMPLETE, score=score, epochs=EPOCHS, n_parameters=pid
        )

    return evaluate


def run_trials(
    executor: Executor, *numbers: int, report: Report = lambda _: True
) -> dict[int, TrialResult]:
    """Evaluate trials with all workers; return results by number."""
    queue, results, n_running = list(numbers), {}, 0
    while queue or n_running:
        while queue and n_running < executor.n_workers:
            executor.submit(make_trial(queue.pop(0)))
            n_running += 1
        trial, result = executor.wait(report)
        results[trial.number] = result
        n_running -= 1
    return results


class ExecutorContract:
    """Contract of every executor with workers.

    Subclasses define a fixture ``executor`` of two workers for `make_evaluate`.
    """

    def test_trials_are_evaluated_elsewhere_on_one_copy_of_the_data(
        self, executor: Executor
    ) -> None:
        found = run_trials(executor, 0, 1, 2, 3, 4)
        assert {result.score for result in found.values()} == {TABLE.sum()}
        assert os.getpid() not in {result.n_parameters for result in found.values()}

    def test_a_report_can_stop_its_trial(self, executor: Executor) -> None:
        seen = []

        def report(epoch: EpochReport) -> bool:
            seen.append((epoch.trial_number, epoch.epoch))
            return not (epoch.trial_number == 1 and epoch.epoch == 1)

        found = run_trials(executor, 0, 1, report=report)
        assert found[0].state is TrialState.COMPLETE
        assert (found[1].state, found[1].epochs) == (TrialState.PRUNED, 2)
        assert sorted(seen) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]

    def test_a_worker_that_dies_costs_its_trial_only_and_is_replaced(
        self, executor: Executor
    ) -> None:
        found = run_trials(executor, 0, DEADLY, 1, 2, 3)
        failure = found.pop(DEADLY).failure
        assert failure is not None
        assert failure.kind == "WorkerDied"
        assert all(result.state is TrialState.COMPLETE for result in found.values())
