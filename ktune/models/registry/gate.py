"""The gate: a new model becomes champion only if it is better by more than noise."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktune.data.dataset import Targets, Task
from ktune.metrics.intervals import jackknife_error
from ktune.metrics.scores import Objective, compute_metrics
from ktune.utils.seeds import derive_seed

N_RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Decision:
    """Whether a candidate becomes champion, and why.

    Attributes:
        is_promoted: Whether it becomes champion.
        reason: The reason as text.
        champion: The version it was compared with; None if there was no champion.
    """

    is_promoted: bool
    reason: str
    champion: int | None = None

    def with_note(self, note: str) -> "Decision":
        """Return the decision with a note about the comparison."""
        return replace(self, reason=f"{self.reason}. Note: {note}") if note else self


def decide(
    candidate: np.ndarray,
    champion: np.ndarray,
    y: np.ndarray,
    *,
    task: Task,
    objective: Objective,
    seed: int = 0,
) -> Decision:
    """Compare two models on the same untouched rows by a paired bootstrap.

    The rows are resampled, both models are scored on each resample, and the candidate
    is promoted only if at least 97.5 % of the differences favour it. Pairing removes
    the noise that both share: some resamples are easier than others for any model.

    Args:
        candidate: Predictions in the form of `compute_metrics`.
        champion: Predictions of the champion for the same rows.
        y: Targets of the rows.
        task: The task.
        objective: The compared metric, which must be one of predictions.
        seed: Seed of the search.

    Source:
        Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 8.
    """
    sign = 1.0 if objective.direction == "max" else -1.0
    rng = np.random.default_rng(derive_seed(seed, "gate"))
    names = (objective.metric,)

    def gain(rows: np.ndarray) -> float:
        new = compute_metrics(names, y[rows], candidate[rows], task)
        old = compute_metrics(names, y[rows], champion[rows], task)
        return sign * (new[objective.metric] - old[objective.metric])

    whole = gain(np.arange(len(y)))
    if np.isnan(whole):
        return _undefined(objective, len(y))
    gains = [gain(rng.integers(0, len(y), len(y))) for _ in range(N_RESAMPLES)]
    low, high = np.nanpercentile(gains, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return _decision(objective, len(y), whole, float(low), float(high))


def decide_by_own_scores(
    candidate: Any,
    champion: Any,
    y: Targets,
    *,
    score: Callable[[Any, Targets], float],
    objective: Objective,
    seed: int = 0,
) -> Decision:
    """Compare two models of a custom task on the same untouched rows.

    Args:
        candidate: Outputs of the candidate.
        champion: Outputs of the champion for the same rows.
        y: Targets of the rows.
        score: Returns the objective of outputs and targets.
        objective: The compared metric.
        seed: Seed of the search.

    Source:
        The paired delete-d jackknife; see `jackknife_error`.
    """
    sign = 1.0 if objective.direction == "max" else -1.0

    def gain(rows: np.ndarray) -> float:
        return sign * (score(candidate[rows], y[rows]) - score(champion[rows], y[rows]))

    whole = gain(np.arange(len(y)))
    if np.isnan(whole):
        return _undefined(objective, len(y))
    error = jackknife_error(lambda rows: {"gain": gain(rows)}, len(y), seed=seed)
    if not error:
        return Decision(False, f"{len(y)} test rows are too few to tell it from noise")
    half = error["gain"]
    return _decision(objective, len(y), whole, whole - half, whole + half)


def _undefined(objective: Objective, n_rows: int) -> Decision:
    return Decision(
        False, f"{objective.metric} is not defined on the {n_rows} test rows"
    )


def _decision(
    objective: Objective, n_rows: int, whole: float, low: float, high: float
) -> Decision:
    difference = (
        f"worse by {-whole:+.4f} [{-high:+.4f}, {-low:+.4f}]"
        if whole < 0
        else f"better by {whole:+.4f} [{low:+.4f}, {high:+.4f}]"
    )
    summary = f"{objective.metric} on {n_rows} test rows {difference}"
    if low > 0 or high < 0:
        return Decision(low > 0, f"{summary}: more than noise")
    return Decision(False, f"{summary}: within noise of the champion")
