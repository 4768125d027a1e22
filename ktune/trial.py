"""A trial as sent to a worker, and the result that the worker returns.

All classes are frozen dataclasses of standard-library types, so they can be pickled
and sent to other processes and machines.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

_COUNTED = re.compile(r"(?<=[a-z0-9])_\d+\b")

FIT_VALUE = "fit_value"
"""The number that ``fit`` of a HyperModel returns, as `keras_tuner` minimises it."""

Value: TypeAlias = bool | int | float | str
"""The value of one hyperparameter, of a type that KerasTuner supports."""

Curves: TypeAlias = Mapping[str, tuple[tuple[float, ...], ...]]
"""Values of each curve (``val_loss``, ``train_accuracy`` …), [fold][epoch]."""


class TrialState(StrEnum):
    """The final state of a trial."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """One set of hyperparameter values to evaluate."""

    number: int
    """0, 1, 2, … in the order in which the searcher proposed the trials."""
    values: Mapping[str, Value]
    """Active hyperparameters only."""
    seed: int
    """Depends only on the seed of the search and on ``number``."""
    epochs: int | None = None
    """Budget in epochs set by the searcher; None: use that of the experiment."""
    parent: int | None = None
    """Number of the trial with the same values and a smaller budget that was promoted.
    This trial trains all ``epochs`` anew, see `ktune.searchers.keras_tuner`."""
    batch_size: int | None = None
    """Replaces the batch size of the fit settings after a trial ran out of memory;
    None: use that of the fit settings."""
    has_ended_process: bool = False
    """Whether it ended the process of the search as often as allowed; it is then
    recorded as failed without another evaluation."""


@dataclass(frozen=True)
class EpochReport:
    """The intermediate value of a trial after an epoch of all folds.

    With fold racing a report is sent after every fold, and the fields count folds.
    """

    trial_number: int
    epoch: int
    """Counted from 0."""
    epochs: int
    """Maximum number of epochs of this trial."""
    value: float
    """Mean of the objective over the folds, or over the folds trained so far."""
    unit: str = "epoch"
    """Unit of ``epoch`` and ``epochs``: "epoch" or "fold"."""


@dataclass(frozen=True)
class FoldResult:
    """The scores of one fold at the trial's best epoch."""

    index: int
    n_train: int
    n_validation: int
    validation: Mapping[str, float]
    train: Mapping[str, float]


@dataclass(frozen=True)
class Failure:
    """The error by which a trial failed."""

    kind: str
    """Name of the exception type."""
    message: str
    traceback: str

    @property
    def reason(self) -> str:
        """Kind and message on one line, equal for trials that failed alike.

        The numbers that Keras appends to names are removed: ``sequential_12`` in one
        trial is ``sequential_13`` in the next.
        """
        return _COUNTED.sub("", f"{self.kind}: {self.message}")


@dataclass(frozen=True)
class TrialResult:
    """The result of evaluating a trial."""

    state: TrialState
    score: float | None = None
    """Mean of the objective over the folds at the best epoch; None when failed."""
    scores: tuple[float, ...] = ()
    """Value of each objective, ``score`` first; only with several objectives."""
    best_epoch: int | None = None
    """The epoch, counted from 0, whose scores count; the same for all folds."""
    epochs: int = 0
    """Number of epochs that every fold was trained."""
    folds: tuple[FoldResult, ...] = ()
    curves: Curves = field(default_factory=dict)
    n_parameters: int | None = None
    latency_ms: float | None = None
    """Wall time to predict one row; None: not measured."""
    seconds: float = 0.0
    """Wall time of the evaluation."""
    batch_size: int | None = None
    """The reduced batch size after the trial ran out of memory; else None."""
    trainer: str = ""
    """Name of the trainer that trained the folds."""
    summary: str = ""
    """The model's layers as text."""
    out_of_fold: bytes = b""
    """Prediction of every row by the model of the fold that did not train on it: a
    compressed ``.npz`` with ``row``, ``fold``, ``target`` and ``prediction``."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Confusion matrix of the out-of-fold predictions, [true class][predicted class];
    empty for regression."""
    failure: Failure | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the trial was neither pruned nor failed."""
        return self.state is TrialState.COMPLETE

    def mean(self, metric: str, side: str = "validation") -> float:
        """Return the mean of a metric over the folds.

        Args:
            metric: Name of the metric.
            side: "validation" or "train".
        """
        scores = [getattr(fold, side)[metric] for fold in self.folds]
        return sum(scores) / len(scores)
