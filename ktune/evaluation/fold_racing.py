"""Folds trained one after another, so that a trial can be given up between two.

The result of a trial that is not given up is the one that training all folds in step
gives, to the last bit: a fold's training does not depend on the others, and the best
epoch is found on the mean of all curves. For that, folds that are through stay ready to
be trained further, should the mean be best later than they were by themselves.
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
    """One fold: its training, and what it has looked like after every epoch."""

    training: Training
    history: EpochHistory
    epochs: list[FoldEpoch] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    wants_to_stop: list[bool] = field(default_factory=list)

    def run_to(self, epoch: int) -> None:
        """Train on until this epoch has been trained."""
        while len(self.epochs) <= epoch:
            (outcome,) = self.training.run_epoch()
            self.epochs.append(outcome)
            self.values.append(self.history.add([outcome]))
            self.wants_to_stop.append(self.training.wants_to_stop)


class FoldRacing:
    """The folds of a trial, each with a training of its own.

    Args:
        task: What to train, all folds.
        start: How to train one of them.
        objective: What the trial is judged by.
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
        """How many folds have been trained."""
        return len(self._runners)

    @property
    def first(self) -> Training:
        """The training of fold 0."""
        return self._runners[0].training

    def run_fold(self) -> float:
        """Train the next fold, and the others as far as the mean of all now needs it.

        Returns:
            The new fold's objective at the best epoch of that mean.

        Raises:
            TrialFailed: The loss, the outputs or the objective are not finite.
        """
        self._runners.append(self._next_runner())
        self._find_best_epoch()
        return self._runners[-1].values[self.best_epoch]

    def fill(self, history: EpochHistory) -> None:
        """Enter every epoch of the folds trained."""
        for epoch in range(self.n_epochs):
            history.add([runner.epochs[epoch] for runner in self._runners])

    def close(self) -> None:
        """End all trainings."""
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
        """Go through the epochs as if the present folds had been trained together."""
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
