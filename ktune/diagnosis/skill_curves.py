"""The skill of the loss after each epoch.

It is the share of the constant prediction's log loss that the model removes (for
regression: of its squared error, which makes it R²; for a custom task: of its own
loss). It is smooth, so rules use it for curves.
"""

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis.class_counts import class_counts
from ktune.diagnosis.own_loss import constant_own_loss
from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.view import TrialView, require_scores
from ktune.diagnosis.yardstick import TINY, baseline_of
from ktune.metrics.scores import LOSS

_CURVES = {Task.REGRESSION: "r2", Task.CUSTOM: LOSS}


def skill_curves(
    view: TrialView, *, against_uniform: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return skill of the loss on training and validation rows, [fold, epoch].

    Args:
        view: The trial.
        against_uniform: Compare with equal probabilities for all classes if that is
            worse than predicting their shares. Training with class weights starts
            from equal probabilities, so a log loss above that of the shares is no
            fault.

    Returns:
        Two arrays. Values below 0 are compressed (see `compress`), so that a diverged
        trial does not dominate.

    Raises:
        NotApplicable: The curves were not recorded.
    """
    require_scores(view)
    name = _CURVES.get(view.context.task, "log_loss")
    train, validation = view.curve(f"train_{name}"), view.curve(f"val_{name}")
    if train is None or validation is None:
        raise NotApplicable(f"no curve of {name} was recorded")
    if not (np.isfinite(train).all() and np.isfinite(validation).all()):
        raise NotApplicable(f"the curve of {name} is not defined in every fold")
    if name == "r2":
        return compress(train), compress(validation)
    if name == LOSS:
        worst = constant_own_loss(view)
        return compress(1 - train / worst), compress(1 - validation / worst)
    worst = _constant_log_loss(view)
    if against_uniform:
        worst = max(worst, _uniform_log_loss(view))
    return compress(1 - train / worst), compress(1 - validation / worst)


def compress(skill: np.ndarray) -> np.ndarray:
    """Return skill with its part below 0 on a logarithmic scale.

    Example:
        >>> compress(np.array([0.5, 0.0, -99.0])).round(2).tolist()
        [0.5, 0.0, -4.61]
    """
    return np.where(skill >= 0, skill, -np.log1p(-np.minimum(skill, 0)))


def _constant_log_loss(view: TrialView) -> float:
    """Return the log loss of always predicting the shares of the classes.

    Raises:
        NotApplicable: The shares are unknown.
    """
    if view.context.task is Task.MULTILABEL:
        return 1 - baseline_of(view, "log_loss").unit
    shares = class_counts(view) / class_counts(view).sum()
    shares = shares[shares > 0]
    return max(float(-(shares * np.log(shares)).sum()), TINY)


def _uniform_log_loss(view: TrialView) -> float:
    """Return the log loss of always predicting equal probabilities."""
    n_classes = 2 if view.context.task is Task.MULTILABEL else len(class_counts(view))
    return float(np.log(n_classes))
