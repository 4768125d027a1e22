"""The history of a trial in training: scores by epoch and fold."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktune.data.custom_targets import kept_rows
from ktune.data.dataset import Task
from ktune.data.nest import concatenate, parts_of
from ktune.data.preprocessing import PreparedFold
from ktune.errors import TrialFailed
from ktune.evaluation.early_stopping import EarlyStopping
from ktune.metrics.objectives import is_of_model, of_predictions
from ktune.metrics.scores import LOSS, Objective, compute_metrics, curve_metrics
from ktune.protocols import FoldEpoch
from ktune.trial import FoldResult

SIDES = ("train", "validation")
"""The two sides of a fold, in the order of reports."""

SHORT = {"train": "train", "validation": "val"}
"""Names of the sides in the names of curves and metrics."""


class EpochHistory:
    """Collects the scores of all folds after each epoch.

    Args:
        folds: The prepared folds, in the order of every list passed to `add`.
        task: The task.
        metrics: Canonical names of the recorded metrics, without ``loss``.
        objective: The monitored objective.
        stopping: Finds the best epoch; None: without early stopping.
    """

    def __init__(
        self,
        folds: Sequence[PreparedFold],
        *,
        task: Task,
        metrics: tuple[str, ...],
        objective: Objective,
        stopping: EarlyStopping | None = None,
    ) -> None:
        self._folds = folds
        self._task = task
        self._metrics = metrics
        self._objective = objective
        self.stopping = stopping or EarlyStopping(objective)
        followed = tuple(dict.fromkeys([*metrics, objective.metric]))
        cheap = curve_metrics(task, followed)
        # Pruning needs the objective, even if it is slow to compute.
        is_followed = objective.metric in cheap or is_of_model(objective.metric, task)
        self._followed = cheap if is_followed else (*cheap, objective.metric)
        self._curves: dict[str, list[list[float]]] = {}
        self._best_folds: list[FoldEpoch] = []

    def add(self, epoch_of_folds: Sequence[FoldEpoch]) -> float:
        """Add an epoch of every fold; return the fold mean of the objective.

        Raises:
            TrialFailed: The objective is not a finite number.
        """
        for side in SIDES:
            scores = [
                self._score(fold, outcome, side, self._followed)
                for fold, outcome in zip(self._folds, epoch_of_folds, strict=True)
            ]
            for name in scores[0]:
                curve = self._curves.setdefault(f"{SHORT[side]}_{name}", [])
                curve.append([score[name] for score in scores])
        value = float(np.mean(self._curves[f"val_{self._objective.metric}"][-1]))
        if not np.isfinite(value):
            raise TrialFailed(
                f"the objective {self._objective.metric!r} is {value} after epoch "
                f"{self.stopping.n_epochs + 1}"
            )
        if self.stopping.update(value):
            self._best_folds = list(epoch_of_folds)
        return value

    def curves(self) -> dict[str, tuple[tuple[float, ...], ...]]:
        """Return values[fold][epoch] by name of the curve."""
        return {
            name: tuple(zip(*by_epoch, strict=True))
            for name, by_epoch in self._curves.items()
        }

    def fold_results(self) -> tuple[FoldResult, ...]:
        """Score every fold at the best epoch by every metric."""
        names = tuple(dict.fromkeys([*self._metrics, *self._followed]))
        return tuple(
            FoldResult(
                index=fold.index,
                n_train=len(fold.train),
                n_validation=len(fold.validation),
                validation=self._score(fold, outcome, "validation", names),
                train=self._score(fold, outcome, "train", names),
            )
            for fold, outcome in zip(self._folds, self._best_folds, strict=True)
        )

    def out_of_fold(self) -> dict[str, np.ndarray]:
        """Return ``row``, ``fold``, ``target`` and ``prediction`` at the best epoch.

        Of several outputs, ``target/<name>`` and ``prediction/<name>``.
        """
        folds = self._folds
        rows_of_folds = [self._predicted_rows(fold) for fold in folds]
        rows = np.concatenate(rows_of_folds)
        predictions = [outcome.validation_predictions for outcome in self._best_folds]
        return {
            "row": rows.astype(np.int32),
            "fold": np.concatenate(
                [
                    np.full(len(rows), fold.index, np.int16)
                    for fold, rows in zip(folds, rows_of_folds, strict=True)
                ]
            ),
            **_by_part("target", folds[0].y[rows]),
            **_by_part("prediction", concatenate(predictions)),
        }

    def _predicted_rows(self, fold: PreparedFold) -> np.ndarray:
        if self._task is Task.CUSTOM:
            return kept_rows(fold.y, fold.validation)
        return fold.validation

    def _score(
        self,
        fold: PreparedFold,
        outcome: FoldEpoch,
        side: str,
        names: tuple[str, ...],
    ) -> dict[str, float]:
        is_train = side == "train"
        rows = fold.train_sample if is_train else fold.validation
        loss = outcome.train_loss if is_train else outcome.validation_loss
        predictions = (
            outcome.train_predictions if is_train else outcome.validation_predictions
        )
        names = of_predictions(names, self._task)
        weights = None if fold.weights is None else fold.weights[rows]
        scores = compute_metrics(names, fold.y[rows], predictions, self._task, weights)
        own = outcome.train_metrics if is_train else outcome.validation_metrics
        return {LOSS: float(loss), **scores, **own}


def _by_part(name: str, values: Any) -> dict[str, np.ndarray]:
    parts = parts_of(values)
    return {f"{name}/{part}" if part else name: array for part, array in parts.items()}
