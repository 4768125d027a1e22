"""Improvement of a trial over its last epochs."""

from dataclasses import dataclass

import numpy as np

from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.skill_curves import skill_curves
from ktune.diagnosis.view import TrialView
from ktune.trial import TrialState

LEAST_EPOCHS = 3
STEEP_SHARE = 0.25
STEEP_GAIN = 0.05


@dataclass(frozen=True)
class Improvement:
    """Improvement on validation rows over the last third of the epochs.

    Attributes:
        gain: Skill gained in the last third, mean over folds.
        error: Standard error of ``gain`` over the folds.
        share: ``gain`` as a share of the gain since the start, which is the skill of
            a constant prediction or of the first epoch, the lower one.
        room: Difference from perfect skill after the last epoch.
    """

    gain: float
    error: float
    share: float
    room: float


def recent_improvement(view: TrialView) -> Improvement:
    """Return the improvement over the last third of the epochs.

    Raises:
        NotApplicable: The trial has too few epochs or no curves, or was pruned.
    """
    if view.result.state is TrialState.PRUNED:
        raise NotApplicable("the trial was pruned before its last epoch")
    train, validation = skill_curves(view)
    n_epochs = validation.shape[1]
    if n_epochs < LEAST_EPOCHS:
        raise NotApplicable(f"it needs at least {LEAST_EPOCHS} epochs")
    middle = n_epochs - 1 - max(1, round(n_epochs / 3))
    gains = _level(validation, n_epochs - 1) - _level(validation, middle)
    mean = validation.mean(axis=0)
    whole = float(mean.max() - min(mean[0], 0.0))
    error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else 0.0
    gain = float(gains.mean())
    return Improvement(
        gain=gain,
        error=error,
        share=gain / whole if whole > 0 else 0.0,
        room=1.0 - float(mean[-1]),
    )


def is_steep(improvement: Improvement) -> bool:
    """Whether training ended too early: the last third has much of the gain."""
    return (
        improvement.share >= STEEP_SHARE
        and improvement.gain >= STEEP_GAIN
        and improvement.gain > 2 * improvement.error
        and improvement.room >= 2 * improvement.gain
    )


def _level(curves: np.ndarray, epoch: int) -> np.ndarray:
    """Return the mean of each fold over an epoch and the one before it."""
    return curves[:, max(epoch - 1, 0) : epoch + 1].mean(axis=1)
