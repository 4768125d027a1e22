"""Confidence intervals of test scores by the bootstrap."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task
from ktune.metrics.calibration import CALIBRATION_ERROR
from ktune.metrics.scores import compute_metrics, curve_metrics
from ktune.utils.seeds import derive_seed

N_RESAMPLES = 1000

MOST_GROUPS = 20
LEAST_ROWS = 10
"""Limits of the jackknife over groups of rows."""

COSTLY_SHARE = 5
"""Factor by which metrics computed by scikit-learn get fewer resamples."""


@dataclass(frozen=True)
class Estimate:
    """A score on the test set with its 95 % interval; None: no interval."""

    value: float
    low: float | None = None
    high: float | None = None


def estimate_metrics(
    names: tuple[str, ...],
    y: np.ndarray,
    predictions: np.ndarray,
    task: Task,
    *,
    seed: int,
    n_resamples: int = N_RESAMPLES,
    weights: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Score test predictions, with 95 % percentile bootstrap intervals over rows.

    The interval covers the sampling of the test rows, not the variation between
    training runs.

    Args:
        names: Canonical metric names, without ``loss``.
        y: Targets as in ``Dataset.y``.
        predictions: In the form of `compute_metrics`.
        task: Task of ``y``.
        seed: Seed of the search.
        n_resamples: Number of bootstrap resamples.
        weights: Weight of every row; None: all rows count the same.

    Returns:
        Metric name to estimate. The calibration error has no interval, because
        resampling with replacement biases it upwards.

    Source:
        Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    values = compute_metrics(names, y, predictions, task, weights)
    cheap = curve_metrics(task, names)
    costly = tuple(n for n in names if n not in (*cheap, CALIBRATION_ERROR))
    parts = {cheap: n_resamples, costly: n_resamples // COSTLY_SHARE}
    intervals: dict[str, tuple[float, float]] = {}
    for some, n_draws in parts.items():
        if not some:
            continue
        rng = np.random.default_rng(derive_seed(seed, "bootstrap"))
        draws = [
            compute_metrics(
                some,
                y[rows],
                predictions[rows],
                task,
                None if weights is None else weights[rows],
            )
            for rows in (rng.integers(0, len(y), len(y)) for _ in range(n_draws))
        ]
        intervals |= _percentiles(some, draws)
    return {
        name: Estimate(value, *intervals.get(name, (None, None)))
        for name, value in values.items()
    }


def interval_method(task: Task) -> str:
    """Return how intervals of test scores are made."""
    return "jackknife" if task is Task.CUSTOM else "percentile bootstrap"


def jackknife_error(
    scores: Callable[[np.ndarray], Mapping[str, float]], n_rows: int, *, seed: int
) -> dict[str, float]:
    """Return half the width of the 95 % interval of scores that take long to compute.

    Up to twenty random groups of rows are left out, one after another.

    Args:
        scores: Returns scores by name of the rows at some positions.
        n_rows: Number of rows; with fewer than 10 there are no intervals.
        seed: Seed of the search.

    Source:
        Shao & Tu, The Jackknife and Bootstrap (1995), section 2.3: the delete-d
        jackknife.
    """
    from scipy import stats  # takes long; readers of searches do without

    if n_rows < LEAST_ROWS:
        return {}
    n_groups = min(MOST_GROUPS, n_rows)
    order = np.random.default_rng(derive_seed(seed, "jackknife")).permutation(n_rows)
    left_out = np.array_split(order, n_groups)
    found = [scores(np.setdiff1d(order, group)) for group in left_out]
    t = float(stats.t.ppf(0.975, n_groups - 1))
    errors = {}
    for name in found[0]:
        values = np.array([each[name] for each in found])
        squares = float(np.sum((values - values.mean()) ** 2))
        errors[name] = t * math.sqrt(squares * (n_groups - 1) / n_groups)
    return errors


def _percentiles(
    names: Sequence[str], draws: Sequence[Mapping[str, float]]
) -> dict[str, tuple[float, float]]:
    """Return the central 95 % of each metric over the draws that define it."""
    intervals = {}
    for name in names:
        defined = [draw[name] for draw in draws if not math.isnan(draw[name])]
        if defined:
            low, high = np.percentile(defined, [2.5, 97.5])
            intervals[name] = (float(low), float(high))
    return intervals
