"""Confidence intervals of test scores by the bootstrap."""

from dataclasses import dataclass

import numpy as np

from ktune.dataset import Task
from ktune.metrics import compute_metrics, curve_metrics
from ktune.seeds import derive_seed

N_RESAMPLES = 1000


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
        Metric name to estimate. Metrics that only scikit-learn can compute have no
        interval: a thousand calls would take minutes.

    Source:
        Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    values = compute_metrics(names, y, predictions, task)
    cheap = curve_metrics(task, names)
    rng = np.random.default_rng(derive_seed(seed, "bootstrap"))
    draws = np.array(
        [
            list(compute_metrics(cheap, y[rows], predictions[rows], task).values())
            for rows in (rng.integers(0, len(y), len(y)) for _ in range(n_resamples))
        ]
    )
    estimates = {name: Estimate(value) for name, value in values.items()}
    for column, name in enumerate(cheap):
        defined = draws[~np.isnan(draws[:, column]), column]
        if not len(defined):
            continue
        low, high = np.percentile(defined, [2.5, 97.5])
        estimates[name] = Estimate(values[name], float(low), float(high))
    return estimates
