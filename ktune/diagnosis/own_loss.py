"""The skill of a custom task: the share of a constant prediction's loss removed."""

import numpy as np

from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.view import SearchView, TrialView
from ktune.metrics.intervals import Estimate
from ktune.metrics.scores import LOSS

OWN_SKILL = "skill by loss"
"""Name of the yardstick: 1 - loss / loss of the best constant prediction."""


def own_skill(view: TrialView, side: str) -> np.ndarray:
    """Return the skill of each fold at the best epoch.

    Raises:
        NotApplicable: See `constant_own_loss`.
    """
    return 1 - view.scores(LOSS, side) / constant_own_loss(view)


def own_test_skill(search: SearchView, best: TrialView) -> Estimate | None:
    """Return the skill of the refitted trial on the test rows; None without them.

    Raises:
        NotApplicable: See `constant_own_loss`.
    """
    found, worst = search.test.get(LOSS), constant_own_loss(best)
    if found is None:
        return None
    low, high = (
        None if loss is None else 1 - loss / worst for loss in (found.high, found.low)
    )
    return Estimate(1 - found.value / worst, low, high)


def constant_own_loss(view: TrialView) -> float:
    """Return the loss of the best constant prediction.

    Raises:
        NotApplicable: It is unknown, or losses are not above 0, so that the best
            possible loss is unknown.
    """
    baselines = view.context.baselines
    worst = None if baselines is None else baselines.constant.get(LOSS)
    if worst is None:
        raise NotApplicable("the loss of a constant prediction is not known")
    losses = [view.scores(LOSS, side) for side in ("train", "validation")]
    if worst <= 0 or min(map(np.min, losses)) < 0:
        raise NotApplicable("the loss falls below 0, so the best one is not known")
    return worst
