"""The corrected resampled t-test over folds, for the difference of two trials."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """A mean difference of scores with its interval.

    Attributes:
        mean: Mean difference, in the unit of the metric.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        p_value: Two-sided p-value of the null hypothesis of no difference.
        is_paired: Whether the scores were paired by fold.
        n_folds: Number of folds; the smaller number if unpaired.
    """

    mean: float
    low: float
    high: float
    p_value: float
    is_paired: bool
    n_folds: int


def corrected_t_test(differences: Sequence[float], *, test_share: float) -> Difference:
    """Test paired differences over folds, whose training rows overlap.

    The plain t-test assumes independent folds and so reports false differences; the
    correction adds the ratio of validation to training rows to the variance.

    Args:
        differences: One for each fold; at least two, finite.
        test_share: Validation rows for each training row: 1 / (k - 1) for k folds.

    Source:
        Nadeau & Bengio, Inference for the Generalization Error, Machine Learning 52
        (2003); recommended for this use by Bouckaert & Frank, PAKDD 2004.

    Example:
        >>> result = corrected_t_test([0.02, 0.01, 0.03, 0.02, 0.02], test_share=0.25)
        >>> round(result.mean, 3), round(result.p_value, 3)
        (0.02, 0.014)
    """
    values = np.asarray(differences, dtype=np.float64)
    n_folds = len(values)
    variance = float(values.var(ddof=1)) * (1 / n_folds + test_share)
    return _difference(float(values.mean()), variance, n_folds - 1, n_folds, True)


def unpaired_test(
    first: Sequence[float], second: Sequence[float], *, test_share: float
) -> Difference:
    """Test the difference of two means over different folds.

    As `corrected_t_test`, but with the variances of both trials (Welch), so that only
    a larger difference is significant.

    Args:
        first: Scores of the folds of one trial.
        second: Scores of the folds of the other trial.
        test_share: Validation rows for each training row, the larger of both.

    Source:
        Welch, Biometrika 34 (1947), with Nadeau & Bengio's correction on each side.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    parts = [float(x.var(ddof=1)) * (1 / len(x) + test_share) for x in (a, b)]
    whole = sum(parts)
    inner = sum(p**2 / (len(x) - 1) for p, x in zip(parts, (a, b), strict=True))
    freedom = whole**2 / inner if inner > 0 else min(len(a), len(b)) - 1
    mean = float(a.mean() - b.mean())
    return _difference(mean, whole, freedom, min(len(a), len(b)), False)


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for multiple tests.

    Source:
        Holm, Scandinavian Journal of Statistics 6 (1979).

    Example:
        >>> adjust_by_holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        adjusted[index] = round(min(largest, 1.0), 12)
    return adjusted


def _difference(
    mean: float, variance: float, freedom: float, n_folds: int, is_paired: bool
) -> Difference:
    if variance <= 0:
        # All folds differ by the same amount, so there is no noise.
        p_value = 1.0 if mean == 0 else 0.0
        return Difference(mean, mean, mean, p_value, is_paired, n_folds)
    error = float(np.sqrt(variance))
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * error
    p_value = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return Difference(mean, mean - reach, mean + reach, p_value, is_paired, n_folds)
