"""The gap between training and validation scores, and the noise of a score."""

from dataclasses import dataclass

import numpy as np

from ktune.diagnosis.class_counts import class_counts
from ktune.diagnosis.out_of_fold import read_out_of_fold
from ktune.diagnosis.own_loss import OWN_SKILL, own_skill
from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.skill_curves import skill_curves
from ktune.diagnosis.view import TrialView, require_scores
from ktune.diagnosis.yardstick import PERFECT_ERROR, TINY, Yardstick, yardstick

ODD = 4.0
"""A fold is an outlier at this multiple of its noise from the median."""


@dataclass(frozen=True)
class Gap:
    """Training and validation scores at the best epoch, by fold.

    Attributes:
        yardstick: The metric of the scores.
        train: Score of each fold on training rows.
        validation: Score of each fold on validation rows.
        noise: Standard deviation of each validation score by sampling of its rows, on
            the steady scale (see `steady`).
        test_share: Ratio of validation rows to training rows.
    """

    yardstick: Yardstick
    train: np.ndarray
    validation: np.ndarray
    noise: np.ndarray
    test_share: float

    @property
    def train_skill(self) -> float:
        """Mean skill on training rows."""
        return float(np.mean(self.yardstick.skill(self.train)))

    @property
    def validation_skill(self) -> float:
        """Mean skill on validation rows."""
        return float(np.mean(self.yardstick.skill(self.validation)))

    @property
    def typical(self) -> float:
        """Robust mean over folds of training minus validation score.

        For R², whose noise is unbounded, the median; otherwise the mean without
        outlying folds, because medians over folds of few rows are coarse.
        """
        gaps = self.train - self.validation
        middle = float(np.median(gaps))
        if self.yardstick.is_unbounded:
            return middle
        is_near = np.abs(gaps - middle) <= ODD * self.noise
        return float(gaps[is_near].mean()) if is_near.any() else middle

    @property
    def error(self) -> float:
        """Approximate standard error of the typical gap, in the unit of the metric."""
        steady_gaps = self.yardstick.steady(self.train) - self.yardstick.steady(
            self.validation
        )
        return self._error_of(steady_gaps) * self._unit_at(self.validation)

    def at_least(self, standard_errors: float) -> float:
        """Return the typical gap minus some standard errors."""
        stick = self.yardstick
        gaps = stick.steady(self.train) - stick.steady(self.validation)
        lowest = float(np.median(gaps)) - standard_errors * self._error_of(gaps)
        if not stick.is_unbounded:
            return self.typical - standard_errors * self._error_of(gaps)
        return float(np.expm1(lowest)) * self._unit_at(self.train)

    def _unit_at(self, scores: np.ndarray) -> float:
        """Return the size of a small steady step in the unit of the metric."""
        if not self.yardstick.is_unbounded:
            return 1.0
        return max(1.0 - float(np.median(scores)), PERFECT_ERROR)

    def _error_of(self, gaps: np.ndarray) -> float:
        """Return the standard error of the typical gap, from sampling and training.

        Validation rows of folds are disjoint, so their sampling noise averages out.
        The other variance comes from training, and folds share most training rows, so
        the correction applies to it. The estimate is robust against an outlying fold,
        like the typical gap.

        Source:
            Nadeau & Bengio, Inference for the Generalization Error, Machine Learning
            52 (2003). A normal median has 1.25 times the standard error of the mean.
        """
        n_folds = len(gaps)
        by_rows = float(np.mean(self.noise**2))
        if n_folds < 2:
            return float(np.sqrt(by_rows))
        robust = 1.25 * 1.4826 * float(np.median(np.abs(gaps - np.median(gaps))))
        variance = min(float(np.var(gaps, ddof=1)), robust**2)
        by_training = max(variance - by_rows, 0.0) * (1 / n_folds + self.test_share)
        return float(np.sqrt(by_rows / n_folds + by_training))


def measure_gap(view: TrialView) -> Gap:
    """Return train and validation scores of the folds on the yardstick.

    Raises:
        NotApplicable: The trial failed, or the metric is undefined in every fold.
    """
    require_scores(view)
    stick = yardstick(view)
    train = _scores_on(stick, view, "train")
    validation = _scores_on(stick, view, "validation")
    defined = np.isfinite(train) & np.isfinite(validation)
    if not defined.any():
        raise NotApplicable(f"{stick.metric} is not defined on these folds")
    rows = np.array([fold.n_validation for fold in view.result.folds])[defined]
    n_train = np.array([fold.n_train for fold in view.result.folds])[defined]
    validation = validation[defined]
    return Gap(
        yardstick=stick,
        train=train[defined],
        validation=validation,
        noise=_noise_by_fold(view, stick, validation, rows),
        test_share=float(rows.mean() / n_train.mean()),
    )


def gap_at_last_epoch(view: TrialView) -> Gap:
    """Return train and validation scores after the last epoch.

    Raises:
        NotApplicable: The curves were not recorded, or are undefined in a fold.
    """
    gap = measure_gap(view)
    metric = gap.yardstick.metric
    train, validation = (
        skill_curves(view)
        if metric == OWN_SKILL
        else (view.curve(f"train_{metric}"), view.curve(f"val_{metric}"))
    )
    if train is None or validation is None or len(train) != len(gap.train):
        raise NotApplicable(f"no curve of {metric} was recorded")
    ends = train[:, -1], validation[:, -1]
    if not np.isfinite(ends).all():
        raise NotApplicable(f"{metric} is not defined in every fold")
    return Gap(gap.yardstick, *ends, gap.noise, gap.test_share)


def sampling_noise(
    view: TrialView, stick: Yardstick, score: float, n_rows: np.ndarray
) -> np.ndarray:
    """Return the standard deviation of scores by sampling of rows, steady scale.

    Args:
        view: The trial, for the shares of the classes.
        stick: The metric.
        score: Its mean; not used for R².
        n_rows: Number of rows of each fold.

    Source:
        Shares: the binomial with Agresti & Coull's added outcomes (1998), so that a
        perfect score has noise, too. R²: the delta method for the logarithm of a
        ratio of mean squares of normal errors.
    """
    n = n_rows.astype(np.float64)
    if stick.is_unbounded:
        return np.sqrt(4 / n)
    if stick.metric != "accuracy" and view.result.confusion:
        shares = class_counts(view) / class_counts(view).sum()
        n = n * min(1.0, len(shares) * float(shares.min()))  # the rarest class decides
    share = (np.clip(score, 0, 1) * n + 2) / (n + 4)
    return np.sqrt(share * (1 - share) / (n + 4))


def _scores_on(stick: Yardstick, view: TrialView, side: str) -> np.ndarray:
    """Return the scores of the folds on a yardstick."""
    is_own = stick.metric == OWN_SKILL
    return own_skill(view, side) if is_own else view.scores(stick.metric, side)


def _noise_by_fold(
    view: TrialView, stick: Yardstick, scores: np.ndarray, n_rows: np.ndarray
) -> np.ndarray:
    """Return the sampling noise of the score of each fold.

    A few rows with very large errors make R² noisier than normal errors do, so the
    noise is estimated from the out-of-fold predictions if available.
    """
    typical = sampling_noise(view, stick, float(np.mean(scores)), n_rows)
    if stick.metric != "r2" or not view.result.out_of_fold:
        return typical
    out_of_fold = read_out_of_fold(view.result.out_of_fold)
    if out_of_fold.target.ndim > 1:
        return typical
    error = (out_of_fold.prediction - out_of_fold.target) ** 2
    folds = [error[out_of_fold.fold == fold] for fold in np.unique(out_of_fold.fold)]
    if len(folds) != len(n_rows):
        return typical
    heavy = [
        float(np.std(part) / np.sqrt(len(part)) / max(float(part.mean()), TINY))
        for part in folds
    ]
    return np.maximum(typical, float(np.median(heavy)))
