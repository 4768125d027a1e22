"""Where validation loss turns up while training loss goes on falling."""

from dataclasses import dataclass

import numpy as np

from ktune.diagnosis.measures import skill_curves
from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.view import TrialView

LEAST_EPOCHS = 4
PRACTICAL = 0.05
STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class TurningPoint:
    """The lowest point of the validation loss, and what came after it.

    Attributes:
        epoch: Counted from 0.
        lost: Skill lost on validation rows from there to the last epoch.
        gained: Skill gained on training rows meanwhile.
        error: Standard error of ``lost`` over the folds.
    """

    epoch: int
    lost: float
    gained: float
    error: float


def find_turning_point(view: TrialView) -> TurningPoint | None:
    """Return the turning point; None when validation loss does not turn up.

    It counts when validation loses at least 0.05 skill from its best epoch (of the
    mean curve) to the last one, and twice the standard error over the folds, while
    training has gained at least 0.05.

    Raises:
        NotApplicable: Too few epochs, or no curves.
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
