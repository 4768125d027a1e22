"""Whether training has learned more than a constant prediction."""

import numpy as np

from ktune.diagnosis.class_counts import class_counts, recall_by_class
from ktune.diagnosis.gap import measure_gap
from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.skill_curves import skill_curves
from ktune.diagnosis.view import TrialView

POOR_SKILL = 0.1
POOR_LOSS_SKILL = 0.05
LEAST_EPOCHS = 4
STEADY_SHARE = 0.9
EVEN = 1.5
"""Classes are balanced if the largest has at most this multiple of an equal share."""


def has_learned(view: TrialView) -> bool:
    """Whether training has learned more than a constant prediction.

    Either the loss on training rows falls by at least 0.05 of a constant
    prediction's in some epoch, or the recalls show it: class weights increase the
    log loss of a model, and then unbalanced classes are compared by recall.
    """
    gap = measure_gap(view)
    loss_skill = _best_loss_skill(view)
    if loss_skill is None:
        return gap.train_skill >= POOR_SKILL or not _is_blind(view)
    if loss_skill >= POOR_LOSS_SKILL and not _creeps(view):
        is_poor = max(gap.train_skill, loss_skill) < POOR_SKILL
        return not is_poor or not _is_blind(view)
    against_uniform = _best_loss_skill(view, against_uniform=True) or 0.0
    return against_uniform >= POOR_LOSS_SKILL and not _is_blind(view)


def _best_loss_skill(view: TrialView, *, against_uniform: bool = False) -> float | None:
    """Return the best skill of the training loss over epochs, mean over folds."""
    try:
        train, _ = skill_curves(view, against_uniform=against_uniform)
    except NotApplicable:
        return None
    return float(train.mean(axis=0).max())


def _creeps(view: TrialView) -> bool:
    """Whether training hardly moves from its initial weights, but steadily.

    Random weights can be better than a constant prediction. A loss that then falls
    steadily but very slowly means a far too small learning rate; with a weak signal
    that is learned in the first epoch, the loss does not fall further.
    """
    train, _ = skill_curves(view)
    mean = train.mean(axis=0)
    if len(mean) < LEAST_EPOCHS or mean.max() >= 2 * POOR_SKILL:
        return False
    is_steady = float(np.mean(np.diff(mean) > 0)) >= STEADY_SHARE
    return is_steady and float(mean[-1] - mean[0]) < POOR_LOSS_SKILL


def _is_blind(view: TrialView) -> bool:
    """Whether the recalls show no learning.

    Recalls of balanced classes are ignored: accuracy can be high by chance while the
    probabilities have hardly changed.
    """
    if not view.result.confusion:
        return True
    counts = class_counts(view)
    chance = 1 / len(counts)
    if counts.max() / counts.sum() < EVEN * chance:
        return True
    balanced = float(np.nanmean(recall_by_class(view)))
    return (balanced - chance) / (1 - chance) < POOR_SKILL
