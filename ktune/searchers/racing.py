"""Racing: give a trial up between two folds, by comparison with the best trial so far.

A trial that races reports after every fold the mean over its folds so far. From these
means the scores of the folds are recovered, of the trial and of the best complete one
(the incumbent), on the same folds.

| rule | a trial is stopped when … |
|---|---|
| `forgiving` | the mean of its folds is no better than the incumbent's worst fold |
| `aggressive` | that mean is no better than the incumbent's mean |
| `wilcoxon` | a one-sided signed-rank test over the common folds says it is worse |

Forgiving stops few trials wrongly: one that would have become the best is stopped only
if its first folds are below everything the incumbent has. Aggressive saves more, and
gives up trials whose first folds are merely hard, whatever the incumbent had on these.
Wilcoxon compares fold by fold, but n folds can give no p below 2^-n: at the level used
here it cannot stop a trial before fold 4, and with three folds or fewer it never stops
one.

Source: Bergman, Purucker & Hutter, Don't Waste Your Time: Early Stopping
Cross-Validation, arXiv 2405.03389 (2024).
"""

from collections.abc import Callable, Mapping

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from scipy.stats import wilcoxon

LEVEL = 0.1
"""Of the signed-rank test: after 4 folds p can be 1/16, after 3 only 1/8."""


class RacingPruner(optuna.pruners.BasePruner):
    """Stops trials between folds; steps are folds, values means over folds so far.

    Args:
        rule: "forgiving", "aggressive" or "wilcoxon".
    """

    def __init__(self, rule: str) -> None:
        self._is_worse = _RULES[rule]

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to be stopped after the folds it has reported."""
        incumbent = _incumbent(study)
        if incumbent is None or incumbent.number == trial.number:
            return False
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        ours, theirs = fold_scores(trial), fold_scores(incumbent)
        if not 0 < len(ours) <= len(theirs):
            return False
        return self._is_worse(sign * ours, sign * theirs)


def fold_scores(trial: FrozenTrial) -> np.ndarray:
    """Return the score of each fold from the means reported.

    Returns:
        Shape (n_folds,), in the order of the folds; empty if none was reported.
    """
    steps = sorted(trial.intermediate_values)
    sums = [
        trial.intermediate_values[step] * count for count, step in enumerate(steps, 1)
    ]
    return np.diff(np.array([0.0, *sums]))


def _incumbent(study: optuna.Study) -> FrozenTrial | None:
    trials = study.get_trials(deepcopy=False, states=(OptunaState.COMPLETE,))
    if not trials:
        return None
    is_max = study.direction == StudyDirection.MAXIMIZE
    choose = max if is_max else min
    return choose(trials, key=lambda trial: trial.value)  # type: ignore[arg-type, return-value]


def _forgiving(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return bool(ours.mean() <= theirs.min())


def _aggressive(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return bool(ours.mean() <= theirs.mean())


def _wilcoxon(ours: np.ndarray, theirs: np.ndarray) -> bool:
    differences = ours - theirs[: len(ours)]
    differences = differences[differences != 0]
    if not len(differences):
        return False
    found = wilcoxon(differences, alternative="less", method="exact")
    return bool(found.pvalue < LEVEL)


_RULES: Mapping[str, Callable[[np.ndarray, np.ndarray], bool]] = {
    "forgiving": _forgiving,
    "aggressive": _aggressive,
    "wilcoxon": _wilcoxon,
}
"""Told the fold scores of trial and incumbent, of which more is better."""
