"""KT007: the predictions are constant, or training failed."""

from typing import ClassVar

import numpy as np

from ktune.data.dataset import Task
from ktune.data.nest import parts_of
from ktune.diagnosis.out_of_fold import OutOfFold, read_out_of_fold
from ktune.diagnosis.remedies import calm
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, Verdict, finding
from ktune.diagnosis.skill_curves import skill_curves
from ktune.diagnosis.view import TrialView

CONSTANT = 1e-3
STILL = 1e-4


class DeadTraining:
    """The predictions of the model do not depend on its inputs.

    Threshold:
        The trial failed (a loss or prediction was no longer finite, or an error), or
        in at least half of the folds out-of-fold predictions differ by less than 0.001
        (of the targets' standard deviation for regression, of the largest deviation of
        targets or outputs for a custom task). Without predictions: only
        one class is ever predicted, and over the second half training loss changes by
        less than 0.0001 per epoch.

    Evidence:
        The share of dead folds.

    Source:
        Lu et al., Dying ReLU and Initialization, arXiv 1903.06733 (2019): a network
        that dies becomes a constant function, the mean of the targets.
    """

    code: ClassVar[str] = "KT007"
    title: ClassVar[str] = "Dead training"
    severity: ClassVar[Severity] = Severity.PROBLEM

    def check(self, view: TrialView) -> Finding | None:
        """Report a failed trial, or one with constant predictions."""
        if not view.has_scores:
            return self._failure(view)
        if view.result.out_of_fold:
            dead = _dead_share_by_predictions(view)
        else:
            dead = float(_looks_dead(view))
        if dead < 0.5:
            return None
        message = (
            f"In {dead:.0%} of the folds the model predicts the same for every row: "
            "its hidden units are dead or its outputs saturated."
        )
        remedy = (
            f"{calm(view)} Check the initialisation and that the inputs are scaled; "
            "'leaky_relu' or 'gelu' cannot die as 'relu' does."
        )
        return finding(self, message, remedy, verdict=Verdict.UNDERFIT, dead_share=dead)

    def _failure(self, view: TrialView) -> Finding:
        failure = view.result.failure
        reason = f"{failure.kind}: {failure.message}" if failure else "no reason known"
        remedy = (
            "Read the traceback (`ktune show`)."
            if failure is not None and failure.traceback
            else calm(view)
        )
        return finding(
            self, f"The trial failed. {reason}", remedy, verdict=Verdict.FAILED
        )


def _dead_share_by_predictions(view: TrialView) -> float:
    out_of_fold = read_out_of_fold(view.result.out_of_fold)
    unit = 1.0
    if view.context.task is Task.REGRESSION:
        unit = float(np.std(out_of_fold.target)) or 1.0
    if view.context.task is Task.CUSTOM:
        return _dead_share_of_outputs(out_of_fold)
    spreads = [
        float(np.ptp(out_of_fold.prediction[out_of_fold.fold == fold], axis=0).max())
        for fold in np.unique(out_of_fold.fold)
    ]
    return float(np.mean(np.array(spreads) < CONSTANT * unit))


def _dead_share_of_outputs(out_of_fold: OutOfFold) -> float:
    """Return the share of folds in which no output depends on the row."""
    targets = parts_of(out_of_fold.target).values()
    outputs = parts_of(out_of_fold.prediction).values()
    spread = max(float(np.std(part)) for part in (*targets, *outputs)) or 1.0
    dead = [
        all(
            float(np.ptp(part[out_of_fold.fold == fold], axis=0).max())
            < CONSTANT * spread
            for part in outputs
        )
        for fold in np.unique(out_of_fold.fold)
    ]
    return float(np.mean(dead))


def _looks_dead(view: TrialView) -> bool:
    if not view.result.confusion:
        raise NotApplicable("the out-of-fold predictions were not read")
    predicted = np.array(view.result.confusion).sum(axis=0)
    if (predicted > 0).sum() > 1:
        return False
    train, _ = skill_curves(view)
    second_half = train.mean(axis=0)[train.shape[1] // 2 :]
    return len(second_half) > 1 and bool(np.abs(np.diff(second_half)).max() < STILL)
