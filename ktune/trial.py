"""The values that travel: a trial on its way to a worker, and its result back.

Everything here is a frozen dataclass of standard-library types, so that it crosses
process and machine borders unchanged.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

_COUNTED = re.compile(r"(?<=[a-z0-9])_\d+\b")

Value: TypeAlias = bool | int | float | str
"""One hyperparameter value as KerasTuner knows it."""

Curves: TypeAlias = Mapping[str, tuple[tuple[float, ...], ...]]
"""Curve name (``val_loss``, ``train_accuracy`` …) to values[fold][epoch]."""


class TrialState(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """One set of hyperparameter values to evaluate."""

    number: int
    """0, 1, 2, … in the order asked."""
    values: Mapping[str, Value]
    """Active hyperparameters only."""
    seed: int
    """Derived from the seed of the search and ``number`` alone."""
    epochs: int | None = None
    """Budget in epochs set by the searcher; None: the experiment decides."""
    parent: int | None = None
    """Number of the trial that was promoted: its values are the same, its budget was
    smaller. This one trains all ``epochs`` anew, see `ktune.searchers.keras_tuner`."""
    batch_size: int | None = None
    """Replaces that of the fit settings, for a trial that memory did not suffice for;
    None: they decide."""


@dataclass(frozen=True)
class EpochReport:
    """What a trial says after an epoch, all folds having advanced one step.

    Where folds race, it speaks after every fold, and epochs here are folds.
    """

    trial_number: int
    epoch: int
    """Counted from 0."""
    epochs: int
    """How many epochs this trial may take at most."""
    value: float
    """Mean of the objective over the folds at this epoch, or over those so far."""
    unit: str = "epoch"
    """What is counted: "epoch" or "fold"."""


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
    """Why a trial failed."""

    kind: str
    """Name of the exception type."""
    message: str
    traceback: str

    @property
    def reason(self) -> str:
        """Kind and message on one line, the same for trials that failed alike.

        Keras counts what it names: ``sequential_12`` in one trial is ``sequential_13``
        in the next.
        """
        return _COUNTED.sub("", f"{self.kind}: {self.message}")


@dataclass(frozen=True)
class TrialResult:
    """What evaluating a trial found out."""

    state: TrialState
    score: float | None = None
    """Mean of the objective over the folds at the best epoch; None when failed."""
    scores: tuple[float, ...] = ()
    """Of a search with several objectives: the value of each, ``score`` first."""
    best_epoch: int | None = None
    """The one epoch, counted from 0, at which every fold is read."""
    epochs: int = 0
    """How many epochs every fold was trained."""
    folds: tuple[FoldResult, ...] = ()
    curves: Curves = field(default_factory=dict)
    n_parameters: int | None = None
    latency_ms: float | None = None
    """Wall time to predict one row; None: not measured, since nobody asked."""
    seconds: float = 0.0
    """Wall time of the evaluation."""
    batch_size: int | None = None
    """Half of what was asked for, if memory did not suffice for that; else None."""
    trainer: str = ""
    """Name of the trainer that did the work."""
    summary: str = ""
    """The model's layers as text."""
    out_of_fold: bytes = b""
    """Predictions of every row by the fold that did not train on it: a compressed
    ``.npz`` with ``row``, ``fold``, ``target`` and ``prediction``."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Out-of-fold counts, [true class][predicted class]; empty for regression."""
    failure: Failure | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the trial ran to its end and has a score."""
        return self.state is TrialState.COMPLETE

    def mean(self, metric: str, side: str = "validation") -> float:
        """Mean of a metric over the folds; ``side`` is "validation" or "train"."""
        scores = [getattr(fold, side)[metric] for fold in self.folds]
        return sum(scores) / len(scores)
