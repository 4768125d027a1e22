"""Fold racing: train folds sequentially, so that a trial can be pruned between two.

The result of a complete trial is identical to the last bit with that of training all
folds together: the training of a fold does not depend on the others, and the best epoch
is that of the mean curve. Therefore trained folds can be trained further, in case the
mean is best at a later epoch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ktune.evaluation.early_stopping import EarlyStopping
from ktune.evaluation.epoch_history import EpochHistory
from ktune.metrics.scores import Objective
from ktune.protocols import FoldEpoch, Training, TrainingTask

Start = Callable[[TrainingTask], Training]
"""Starts the training of a task of one fold."""


@dataclass(eq=False)
class _Runner:
    """One fold: its training, and its state after every epoch."""

    training: Training
    history: EpochHistory
    epochs: list[FoldEpoch] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    wants_to_stop: list[bool] = field(default_factory=list)

    def run_to(self, epoch: int) -> None:
        """Train up to and including this epoch."""
        while len(self.epochs) <= epoch:
            (outcome,) = self.training.run_epoch()
            self.epochs.append(outcome)
            self.values.append(self.history.add([outcome]))
            self.wants_to_stop.append(self.training.wants_to_stop)


class FoldRacing:
    """The folds of a trial, each with a separate training.

    Args:
        task: The task of all folds.
        start: Starts the training of one fold.
        objective: The objective of the trial.
    """

    def __init__(self, task: TrainingTask, start: Start, objective: Objective) -> None:
        self._task = task
        self._start = start
        self._objective = objective
        self._runners: list[_Runner] = []
        self.n_epochs = 0
        self.best_epoch = -1

    @property
    def n_folds(self) -> int:
        """Number of trained folds."""
        return len(self._runners)

    @property
    def first(self) -> Training:
        """The training of fold 0."""
        return self._runners[0].training

    def run_fold(self) -> float:
        """Train the next fold, and the others up to the same epoch.

        Returns:
            The new fold's objective at the best epoch of that mean.

        Raises:
            TrialFailed: The loss, the outputs or the objective are not finite.
        """
        self._runners.append(self._next_runner())
        self._find_best_epoch()
        return self._runners[-1].values[self.best_epoch]

    def fill(self, history: EpochHistory) -> None:
        """Add all epochs of the trained folds to a history."""
        for epoch in range(self.n_epochs):
            history.add([runner.epochs[epoch] for runner in self._runners])

    def close(self) -> None:
        """Close all trainings."""
        for runner in self._runners:
            runner.training.close()

    def _next_runner(self) -> _Runner:
        index, task = len(self._runners), self._task
        fold = task.folds[index]
        alone = replace(task, folds=[fold], seeds=[task.seeds[index]])
        history = EpochHistory(
            [fold], task=task.data.task, metrics=(), objective=self._objective
        )
        return _Runner(self._start(alone), history)

    def _find_best_epoch(self) -> None:
        """Find the best epoch as if the present folds had been trained together."""
        settings = self._task.settings
        stopping = EarlyStopping(self._objective, settings.early_stopping)
        for epoch in range(settings.epochs):
            for runner in self._runners:
                runner.run_to(epoch)
            stopping.update(_mean([runner.values[epoch] for runner in self._runners]))
            wants_to_stop = any(r.wants_to_stop[epoch] for r in self._runners)
            if stopping.should_stop or wants_to_stop:
                break
        self.n_epochs, self.best_epoch = stopping.n_epochs, stopping.best_epoch


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
