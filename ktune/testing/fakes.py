"""Fakes of the interfaces of ktune with scripted behaviour, for quick tests."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ktune.data.preprocessing import PreparedFold
from ktune.protocols import FoldEpoch, Report, TrainingTask
from ktune.trial import EpochReport, Failure, Trial, TrialResult, TrialState, Value

Accuracies = Sequence[float]
"""The share of correct predictions for each fold."""


class FakeModel:
    """Stand-in for a compiled Keras model."""

    compiled = True

    def compile(self, *args: Any, **more: Any) -> None:
        """Do nothing."""

    def fit(self, *args: Any, **more: Any) -> None:
        """Do nothing."""


@dataclass
class FakeTrainer:
    """A trainer of classes whose folds reach scripted accuracies, epoch by epoch.

    Attributes:
        script: For every epoch the accuracies of the folds, or an exception to raise.
            The last one is repeated.
        stops_after: Number of epochs after which a callback wants to stop.
        tasks: All tasks it has received.
        trainings: All trainings it has started.
    """

    script: Sequence[Accuracies | BaseException]
    stops_after: int | None = None
    name: str = "fake"
    tasks: list[TrainingTask] = field(default_factory=list)
    trainings: list["FakeTraining"] = field(default_factory=list)

    def start(self, task: TrainingTask) -> "FakeTraining":
        """Start following the script."""
        self.tasks.append(task)
        self.trainings.append(FakeTraining(self, task))
        return self.trainings[-1]


class FakeTraining:
    """A training that follows the script of its trainer."""

    n_parameters = 42
    summary = "a fake"

    def __init__(self, trainer: FakeTrainer, task: TrainingTask) -> None:
        self._trainer = trainer
        self._task = task
        self.n_epochs = 0
        self.n_closed = 0

    @property
    def wants_to_stop(self) -> bool:
        """Whether a scripted callback stops training now."""
        return self.n_epochs == self._trainer.stops_after

    def run_epoch(self) -> list[FoldEpoch]:
        """Return the scripted epoch."""
        script = self._trainer.script
        scripted = script[min(self.n_epochs, len(script) - 1)]
        self.n_epochs += 1
        if isinstance(scripted, BaseException):
            raise scripted
        folds = self._task.folds
        if len(folds) < len(scripted):  # a worker trains some of the folds only
            scripted = [scripted[fold.index] for fold in folds]
        each = zip(folds, scripted, strict=True)
        return [fold_epoch_of(fold, accuracy) for fold, accuracy in each]

    def model(self, fold_index: int) -> FakeModel:
        """Return a fake model."""
        return FakeModel()

    def close(self) -> None:
        """Count it."""
        self.n_closed += 1


def fold_epoch_of(fold: PreparedFold, accuracy: float) -> FoldEpoch:
    """Return an epoch with this accuracy on train sample and validation rows.

    The losses are 1 - accuracy.
    """
    return FoldEpoch(
        train_loss=1 - accuracy,
        validation_loss=1 - accuracy,
        train_predictions=_probabilities(fold.y[fold.train_sample], accuracy),
        validation_predictions=_probabilities(fold.y[fold.validation], accuracy),
    )


def _probabilities(y: np.ndarray, accuracy: float) -> np.ndarray:
    is_right = np.arange(len(y)) < round(accuracy * len(y))
    return np.where(is_right == (y == 1), 0.9, 0.1).astype(np.float32)


class FakeSearcher:
    """Proposes numbered trials without values, and records all calls.

    Args:
        n_trials: Number of trials to propose; None for no limit.
        worst: Trials with values below it are stopped.
        events: List for "ask", "report" and "tell" events.
    """

    def __init__(
        self,
        n_trials: int | None = None,
        *,
        worst: float = -np.inf,
        events: list[tuple[Any, ...]] | None = None,
    ) -> None:
        self._n_trials = n_trials
        self._worst = worst
        self._n_asked = 0
        self.told: list[tuple[Trial, TrialResult]] = []
        self.events = [] if events is None else events

    @property
    def is_exhausted(self) -> bool:
        """Whether all trials have been proposed."""
        return self._n_trials is not None and self._n_asked >= self._n_trials

    def ask(self) -> Trial | None:
        """Propose the next trial."""
        if self.is_exhausted:
            return None
        trial = make_trial(self._n_asked)
        self._n_asked += 1
        self.events.append(("ask", trial.number))
        return trial

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Return whether the value is good enough."""
        self.events.append(("report", trial.number, step))
        return value >= self._worst

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Record the result."""
        self.events.append(("tell", trial.number))
        self.told.append((trial, result))


class FakeExecutor:
    """Finishes trials in the order submitted, with results of a function.

    Args:
        evaluate: Returns the result of a trial; it may report epochs.
        n_workers: Number of parallel trials.
    """

    def __init__(
        self, evaluate: Callable[[Trial, Report], TrialResult], n_workers: int = 1
    ) -> None:
        self._evaluate = evaluate
        self.n_workers = n_workers
        self.running: list[Trial] = []
        self.most_running = 0
        self.is_closed = False

    def submit(self, trial: Trial) -> None:
        """Submit a trial."""
        self.running.append(trial)
        self.most_running = max(self.most_running, len(self.running))

    def wait(self, report: Report) -> tuple[Trial, TrialResult]:
        """Finish the trial submitted first."""
        trial = self.running.pop(0)
        return trial, self._evaluate(trial, report)

    def close(self) -> None:
        """Record the call."""
        self.is_closed = True


def make_trial(number: int, values: Mapping[str, Value] | None = None) -> Trial:
    """Return a trial whose seed is its number, counted from 1."""
    return Trial(number=number, values=values or {}, seed=number + 1)


def complete(score: float = 0.5) -> TrialResult:
    """Return the result of a complete trial."""
    return TrialResult(TrialState.COMPLETE, score=score, best_epoch=0, epochs=1)


def failed(message: str = "boom", kind: str = "ValueError") -> TrialResult:
    """Return the result of a trial that failed."""
    return TrialResult(TrialState.FAILED, failure=Failure(kind, message, ""))


def reports(values: Iterable[float], trial: Trial, report: Report) -> bool:
    """Report epoch after epoch; return whether the trial continues."""
    values = list(values)
    return all(
        report(EpochReport(trial.number, epoch, len(values), value))
        for epoch, value in enumerate(values)
    )
