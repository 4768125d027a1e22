"""A common scale of scores, since metrics have different units.

Rules compare **skill**: 0 for a constant prediction, 1 for a perfect one. The skill of
a score is measured by the *yardstick*: the objective if its chance level is known,
otherwise accuracy or R². For a custom task it is its own loss (`OWN_SKILL`).
"""

from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis.class_counts import class_counts
from ktune.diagnosis.own_loss import OWN_SKILL
from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.view import TrialView

_UNBOUNDED = ("r2", OWN_SKILL)
"""Yardsticks that depend on the size of each error; their noise is unbounded."""

_RANKING = {"roc_auc", "roc_auc_ovr", "roc_auc_ovo"}
_PER_CLASS = {"balanced_accuracy", "recall_macro", "f1_macro"}
TINY = 1e-9

PERFECT_ERROR = 0.01
"""Unexplained share of variance below which R² counts as perfect."""


@dataclass(frozen=True)
class Yardstick:
    """A metric with a known scale: ``chance`` for a constant prediction, 1 perfect."""

    metric: str
    chance: float

    def skill(self, score: np.ndarray) -> np.ndarray:
        """Return scores on the scale where chance is 0 and perfect is 1."""
        return (score - self.chance) / (1.0 - self.chance)

    @property
    def unit(self) -> float:
        """One unit of skill in the unit of the metric."""
        return 1.0 - self.chance

    @property
    def is_unbounded(self) -> bool:
        """Whether it depends on the size of each error, as R² does."""
        return self.metric in _UNBOUNDED

    def steady(self, score: np.ndarray) -> np.ndarray:
        """Return scores on a scale with about constant noise.

        For R² this is minus the logarithm of the unexplained share: the noise of R²
        grows with that share, so on the original scale it would hide overfitting.
        Other metrics are not changed.
        """
        if not self.is_unbounded:
            return score
        return -np.log(np.maximum(1.0 - score, PERFECT_ERROR))

    @property
    def practical(self) -> float:
        """The smallest relevant gap, in the unit of the metric.

        0.15, but at most 0.3 of the way from chance to perfect. For R², which depends
        on the size of each error and not only on the predicted class, 0.25.
        """
        wide = 0.25 if self.is_unbounded else 0.15
        return max(min(wide, 0.3 * self.unit), 0.03)


def yardstick(view: TrialView) -> Yardstick:
    """Return the metric for comparing scores, with its chance level.

    Raises:
        NotApplicable: The chance level is not known for this task.
    """
    task, metric = view.context.task, view.context.objective.metric
    if task is Task.REGRESSION:
        return Yardstick("r2", 0.0)
    if task is Task.CUSTOM:
        return Yardstick(OWN_SKILL, 0.0)
    if task is Task.MULTILABEL:
        return baseline_of(view, "f1_macro")
    shares = class_counts(view) / class_counts(view).sum()
    if metric in _RANKING:
        return Yardstick(metric, 0.5)
    if metric in _PER_CLASS:
        return Yardstick(metric, 1 / len(shares))
    if metric == "f1" and task is Task.BINARY:
        return Yardstick(metric, float(2 * shares[1] / (1 + shares[1])))
    return Yardstick("accuracy", min(float(shares.max()), 1 - TINY))


def baseline_of(view: TrialView, metric: str) -> Yardstick:
    """Return a metric with the score of the constant prediction as chance level.

    Raises:
        NotApplicable: That score is not known.
    """
    baselines = view.context.baselines
    if baselines is None or metric not in baselines.constant:
        raise NotApplicable(
            f"the {metric} of a constant prediction is not known for this task"
        )
    return Yardstick(metric, min(baselines.constant[metric], 1 - TINY))
