"""Fold racing: prune a trial between two folds by comparison with the best trial.

With fold racing a trial reports the mean of its folds so far after every fold. The
scores of single folds are recovered from these means, for the trial and for the best
complete one (the incumbent), on the same folds.

| rule | a trial is stopped when … |
|---|---|
| `forgiving` | the mean of its folds is no better than the incumbent's worst fold |
| `aggressive` | that mean is no better than the incumbent's mean |
| `wilcoxon` | a one-sided signed-rank test over the common folds says it is worse |

Forgiving stops few trials wrongly: a trial that would have become the best is stopped
only if its first folds are below all folds of the incumbent. Aggressive saves more,
and stops trials whose first folds are merely hard, also for the incumbent. Wilcoxon
compares fold by fold, but n folds give no p below 2^-n: at the level used here it
cannot stop a trial before fold 4, and with three folds or fewer it never stops one.

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
"""Level of the signed-rank test: p can be 1/16 after 4 folds, but only 1/8 after 3."""


class RacingPruner(optuna.pruners.BasePruner):
    """Prunes trials between folds; steps are folds, values means of the folds so far.

    Args:
        rule: "forgiving", "aggressive" or "wilcoxon".
    """

    def __init__(self, rule: str) -> None:
        self._is_worse = _RULES[rule]

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether to stop the trial after the folds it has reported."""
        incumbent = _incumbent(study)
        if incumbent is None or incumbent.number == trial.number:
            return False
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        scores, best_scores = fold_scores(trial), fold_scores(incumbent)
        if not 0 < len(scores) <= len(best_scores):
            return False
        return self._is_worse(sign * scores, sign * best_scores)


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


def _forgiving(scores: np.ndarray, best_scores: np.ndarray) -> bool:
    return bool(scores.mean() <= best_scores.min())


def _aggressive(scores: np.ndarray, best_scores: np.ndarray) -> bool:
    return bool(scores.mean() <= best_scores.mean())


def _wilcoxon(scores: np.ndarray, best_scores: np.ndarray) -> bool:
    differences = scores - best_scores[: len(scores)]
    differences = differences[differences != 0]
    if not len(differences):
        return False
    test = wilcoxon(differences, alternative="less", method="exact")
    return bool(test.pvalue < LEVEL)


_RULES: Mapping[str, Callable[[np.ndarray, np.ndarray], bool]] = {
    "forgiving": _forgiving,
    "aggressive": _aggressive,
    "wilcoxon": _wilcoxon,
}
"""Rules on the fold scores of trial and incumbent, where more is better."""
