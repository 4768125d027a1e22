"""The epoch from which validation loss rises while training loss falls."""

from dataclasses import dataclass

import numpy as np

from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.skill_curves import skill_curves
from ktune.diagnosis.view import TrialView

LEAST_EPOCHS = 4
PRACTICAL = 0.05
STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class TurningPoint:
    """The minimum of the validation loss, and the changes after it.

    Attributes:
        epoch: Epoch of the minimum, counted from 0.
        lost: Skill lost on validation rows from the minimum to the last epoch.
        gained: Skill gained on training rows over the same epochs.
        error: Standard error of ``lost`` over the folds.
    """

    epoch: int
    lost: float
    gained: float
    error: float


def find_turning_point(view: TrialView) -> TurningPoint | None:
    """Return the turning point; None if validation loss does not turn up.

    From the best epoch of the mean curve to the last one, validation must lose at
    least 0.05 skill and twice the standard error over the folds, while training gains
    at least 0.05.

    Raises:
        NotApplicable: The trial has too few epochs, or no curves.
    """
    train, validation = skill_curves(view)
    if train.shape[1] < LEAST_EPOCHS:
        raise NotApplicable(f"it needs at least {LEAST_EPOCHS} epochs")
    best = int(validation.mean(axis=0).argmax())
    lost = validation[:, best] - validation[:, -1]
    gained = float((train[:, -1] - train[:, best]).mean())
    n_folds = len(lost)
    error = float(lost.std(ddof=1) / np.sqrt(n_folds)) if n_folds > 1 else PRACTICAL
    point = TurningPoint(best, float(lost.mean()), gained, error)
    is_real = point.lost >= max(PRACTICAL, STANDARD_ERRORS * error)
    return point if is_real and gained >= PRACTICAL else None
