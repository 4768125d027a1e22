"""KT005: the scores differ between folds beyond chance."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis.gap import Gap, gap_at_last_epoch, measure_gap
from ktune.diagnosis.learning import has_learned
from ktune.diagnosis.out_of_fold import OutOfFold, read_out_of_fold
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, Verdict, finding
from ktune.diagnosis.skill_curves import skill_curves
from ktune.diagnosis.view import TrialView
from ktune.utils.text import percent

OUTLIER_NOISE = 4.0
OUTLIER_SKILL = 0.2
SPREAD_NOISE = 3.0
SPREAD_SKILL = 0.15
TARGET_SHARE = 0.3
LEARNED = 0.3


class UnstableFolds:
    """One fold is an outlier, or all folds differ more than chance explains.

    Threshold:
        After the best or the last epoch, the validation score of a fold is at least
        0.2 (of the way from chance to perfect) and four times the noise away from the
        median of the others; the noise is the larger of the sampling noise of its
        rows and the scatter of the others. Or the standard deviation over folds is at
        least 0.15 and three times the sampling noise. Or training is better than
        validation by the practical size and the folds explain at least 0.3 of the
        variance of the *targets*: then the folds cause the gap, not the model. Trials
        that have learned nothing are exempt. While little was learned, differences
        that training scores share are ignored: the initial weights cause them.

    Evidence:
        The outlying fold, its score, the median of the others, the multiple of noise.

    Source:
        Outliers by the median: Leys et al., Journal of Experimental Social
        Psychology 49 (2013). Noise of a share: the binomial distribution.
    """

    code: ClassVar[str] = "KT005"
    title: ClassVar[str] = "Unstable over folds"
    severity: ClassVar[Severity] = Severity.PROBLEM

    def check(self, view: TrialView) -> Finding | None:
        """Look for an outlying fold, then at the spread of all folds."""
        gap = measure_gap(view)
        if len(gap.validation) < 2:
            raise NotApplicable("there is only one fold")
        if not has_learned(view):
            raise NotApplicable(
                "the trial has learned nothing in which folds could differ"
            )
        return (
            self._outlier(view, gap)
            or self._spread(view, gap)
            or self._different_targets(view, gap)
            or self._outlier_at_the_end(view)
        )

    def _outlier(self, view: TrialView, gap: Gap) -> Finding | None:
        if len(gap.validation) < 3:
            return None  # of two folds neither is the outlier
        steady = gap.yardstick.steady(gap.validation)
        fold = _farthest(steady)
        others = np.delete(gap.validation, fold)
        distance = abs(float(gap.validation[fold] - np.median(others)))
        is_far = distance >= max(
            OUTLIER_SKILL * gap.yardstick.unit, gap.yardstick.practical
        )
        steady_others = np.delete(steady, fold)
        noise = max(float(gap.noise[fold]), _scatter(steady_others))
        times = abs(float(steady[fold] - np.median(steady_others))) / noise
        if not is_far or times < OUTLIER_NOISE:
            return None
        gaps = gap.train - gap.validation
        difference = abs(float(gaps[fold] - np.median(np.delete(gaps, fold))))
        if _is_luck_of_the_start(view, distance, difference):
            return None
        index = view.result.folds[fold].index
        message = (
            f"Fold {index} scores {gap.yardstick.metric} {gap.validation[fold]:.3f}, "
            f"the others {np.median(others):.3f} (median): {times:.0f} "
            "times the difference that chance explains."
        )
        remedy = (
            f"Check the rows of fold {index}: another source, time or group, or "
            "wrong targets? Split by group or time (`groups=`, a scikit-learn "
            "splitter as `cv`), shuffle, or correct these rows."
        )
        return finding(
            self,
            message,
            remedy,
            verdict=Verdict.UNSTABLE,
            fold=float(index),
            score=float(gap.validation[fold]),
            others=float(np.median(others)),
            times_noise=times,
        )

    def _outlier_at_the_end(self, view: TrialView) -> Finding | None:
        # If one fold gets worse with training while the others get better, the best
        # epoch is an early one, in which the folds hardly differ.
        try:
            last = gap_at_last_epoch(view)
        except NotApplicable:
            return None
        outlier = self._outlier(view, last)
        if outlier is None:
            return None
        epoch = f"After the last epoch ({view.result.epochs}): "
        return replace(outlier, message=epoch + outlier.message)

    def _spread(self, view: TrialView, gap: Gap) -> Finding | None:
        spread = float(np.std(gap.validation, ddof=1))
        steady = float(np.std(gap.yardstick.steady(gap.validation), ddof=1))
        times = steady / float(np.sqrt(np.mean(gap.noise**2)))
        if spread < SPREAD_SKILL * gap.yardstick.unit or times < SPREAD_NOISE:
            return None
        spread_of_gaps = float(np.std(gap.train - gap.validation, ddof=1))
        if _is_luck_of_the_start(view, spread, spread_of_gaps):
            return None
        scores = ", ".join(f"{score:.3f}" for score in gap.validation)
        message = (
            f"{gap.yardstick.metric} varies by {spread:.3f} over the folds "
            f"({scores}), {times:.0f} times the sampling noise of their rows."
        )
        remedy = (
            "If rows come in groups, periods or sorted by target, split accordingly "
            "(`groups=`, a scikit-learn splitter as `cv`). If training depends on the "
            "initial weights, use a lower learning_rate or a wider model."
        )
        return finding(
            self,
            message,
            remedy,
            verdict=Verdict.UNSTABLE,
            spread=spread,
            times_expected=times,
        )

    def _different_targets(self, view: TrialView, gap: Gap) -> Finding | None:
        is_custom = view.context.task is Task.CUSTOM
        has_predictions = bool(view.result.out_of_fold) and not is_custom
        if gap.typical < gap.yardstick.practical or not has_predictions:
            return None
        share = _share_between_folds(read_out_of_fold(view.result.out_of_fold))
        if share < TARGET_SHARE:
            return None
        message = (
            f"The folds contain different targets: {percent(share)} of the variance of "
            "the targets lies between folds. The model does not generalise from some "
            f"folds to another ({gap.yardstick.metric} {gap.train.mean():.3f} in "
            f"training, {gap.validation.mean():.3f} in validation)."
        )
        remedy = (
            "Rows seem to be sorted by target, time or group: shuffle "
            "(`cv=5`, or `KFold(5, shuffle=True)`) unless new rows will differ in "
            "the same way."
        )
        return finding(
            self,
            message,
            remedy,
            verdict=Verdict.UNSTABLE,
            share_between_folds=share,
        )


def _is_luck_of_the_start(view: TrialView, in_validation: float, in_gap: float) -> bool:
    """Whether folds differ by their initial weights, not by their rows.

    While little is learned, good initial weights improve training and validation
    scores of a fold alike, so its gap does not differ from the others.
    """
    try:
        train, _ = skill_curves(view)
    except NotApplicable:
        return False
    learned = float(train.mean(axis=0).max())
    return learned < LEARNED and in_gap < 0.5 * in_validation


def _share_between_folds(out_of_fold: OutOfFold) -> float:
    """Return the share of the variance of the targets between folds, at most 1.

    The share expected of random folds is subtracted. Classes are compared by their
    shares in each fold.
    """
    target = out_of_fold.target
    if target.ndim > 1:
        return 0.0
    columns = target.reshape(-1, 1).astype(np.float64)
    if target.dtype.kind in "iu":
        columns = (target.reshape(-1, 1) == np.unique(target)).astype(np.float64)
    means = columns.mean(axis=0)
    total = float(((columns - means) ** 2).sum())
    folds = [columns[out_of_fold.fold == k] for k in np.unique(out_of_fold.fold)]
    between = sum(
        float(len(part) * ((part.mean(axis=0) - means) ** 2).sum()) for part in folds
    )
    by_chance = (len(folds) - 1) / max(len(target) - 1, 1)
    return between / max(total, 1e-12) - by_chance


def _farthest(scores: np.ndarray) -> int:
    """Return the index of the score farthest from the median of the others."""
    distances = [
        abs(scores[k] - np.median(np.delete(scores, k))) for k in range(len(scores))
    ]
    return int(np.argmax(distances))


def _scatter(scores: np.ndarray) -> float:
    """Return the standard deviation estimated by the median absolute deviation."""
    return float(1.4826 * np.median(np.abs(scores - np.median(scores))))
