"""Confidence intervals of test scores by the bootstrap."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task
from ktune.metrics.scores import CALIBRATION_ERROR, compute_metrics, curve_metrics
from ktune.utils.seeds import derive_seed

N_RESAMPLES = 1000

COSTLY_SHARE = 5
"""Metrics that only scikit-learn can compute are drawn so many times less often."""


@dataclass(frozen=True)
class Estimate:
    """A score on the test set with its 95 % interval; None where it has none."""

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
) -> dict[str, Estimate]:
    """Score test predictions, with 95 % percentile bootstrap intervals over rows.

    The interval speaks of these test rows as a sample of all rows; it does not
    include the chance of another training run.

    Args:
        names: Canonical metric names, without ``loss``.
        y: Targets as in ``Dataset.y``.
        predictions: As `compute_metrics` takes them.
        task: What ``y`` is.
        seed: Of the search.
        n_resamples: How often the rows are drawn anew.

    Returns:
        Metric name to estimate. The calibration error has no interval: it is larger in
        rows drawn twice, so that draws do not tell of its error.

    Source:
        Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    values = compute_metrics(names, y, predictions, task)
    cheap = curve_metrics(task, names)
    costly = tuple(n for n in names if n not in (*cheap, CALIBRATION_ERROR))
    parts = {cheap: n_resamples, costly: n_resamples // COSTLY_SHARE}
    intervals: dict[str, tuple[float, float]] = {}
    for some, n_draws in parts.items():
        if not some:
            continue
        rng = np.random.default_rng(derive_seed(seed, "bootstrap"))
        draws = [
            compute_metrics(some, y[rows], predictions[rows], task)
            for rows in (rng.integers(0, len(y), len(y)) for _ in range(n_draws))
        ]
        intervals |= _percentiles(some, draws)
    return {
        name: Estimate(value, *intervals.get(name, (None, None)))
        for name, value in values.items()
    }


def _percentiles(
    names: Sequence[str], draws: Sequence[Mapping[str, float]]
) -> dict[str, tuple[float, float]]:
    """Return between what 95 % of the draws are in which a metric is defined."""
    found = {}
    for name in names:
        defined = [draw[name] for draw in draws if not math.isnan(draw[name])]
        if defined:
            low, high = np.percentile(defined, [2.5, 97.5])
            found[name] = (float(low), float(high))
    return found
