"""Select members and weights by out-of-fold predictions, and estimate the score.

Source:
    Caruana, Niculescu-Mizil, Crew, Ksikes, Ensemble Selection from Libraries of Models,
    ICML 2004: greedy selection with replacement.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.models.ensembles.blend import Blend, LinearStack, Mean, side_by_side
from ktune.models.ensembles.library import Library

Choose: TypeAlias = Callable[[Library, Sequence[int]], Blend]
"""Makes a blend of a library from the rows of some folds only."""

MAX_PICKS = 10
STACKED = 5
"""Number of stacked trials; more coefficients would fit the noise."""


@dataclass(frozen=True)
class NestedEstimate:
    """Estimated score of a selection on rows that took no part in it.

    Attributes:
        scores: One per fold, in the objective's unit.
    """

    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over folds."""
        return float(np.mean(self.scores))

    @property
    def deviation(self) -> float:
        """Deviation over folds."""
        return float(np.std(self.scores, ddof=1))


def best_single(library: Library, folds: Sequence[int]) -> Mean:
    """Select the best single model on these folds."""
    return Mean((_rank(library, folds)[0],), (1.0,))


def choose_greedily(library: Library, folds: Sequence[int]) -> Mean:
    """Repeatedly add the model that improves the score on these folds most.

    A model may be added several times, which increases its weight. The result is the
    best of all intermediate ensembles, the smaller one of equally good ones.
    """
    first = _rank(library, folds)[0]
    picks, total = [first], library.predictions[first].astype(np.float64)
    best = (library.score(library.predictions[first], folds), 1)
    while len(picks) < MAX_PICKS:
        sums = [total + part for part in library.predictions]
        scores = [library.score(s / (len(picks) + 1), folds) for s in sums]
        # A model with an undefined score must not be selected.
        pick = int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))
        picks.append(pick)
        total = sums[pick]
        if scores[pick] > best[0]:
            best = (scores[pick], len(picks))
    counts = Counter(picks[: best[1]])
    shares = tuple(count / best[1] for count in counts.values())
    return Mean(tuple(counts), shares)


def stack(library: Library, folds: Sequence[int]) -> LinearStack:
    """Fit a linear model to the predictions of the best models for these folds.

    Raises:
        ExperimentError: The task is multilabel.
    """
    if library.task is Task.MULTILABEL:
        raise ExperimentError(
            "stacking does not support multilabel tasks. Use --method greedy."
        )
    members = tuple(_rank(library, folds)[:STACKED])
    rows = np.concatenate([library.folds[k] for k in folds])
    x = side_by_side(library.predictions[list(members)][:, rows])
    kernel, bias = _fit_linear(x, library.y[rows], library.task)
    return LinearStack(members, kernel, bias, library.task)


def estimate_nested(library: Library, choose: Choose) -> NestedEstimate | None:
    """Estimate a selection: score each fold with the selection on the other folds.

    No row takes part in both selection and scoring, so the estimate is unbiased.

    Returns:
        The estimate; None with fewer than two folds.
    """
    n_folds = len(library.folds)
    if n_folds < 2:
        return None
    scores = []
    for fold in range(n_folds):
        others = [k for k in range(n_folds) if k != fold]
        blend = choose(library, others)
        blended = blend.apply(library.predictions[list(blend.members)])
        scores.append(library.sign * library.fold_score(blended, fold))
    return NestedEstimate(tuple(scores))


def all_folds(library: Library) -> range:
    """Return all folds of a library."""
    return range(len(library.folds))


def _rank(library: Library, folds: Sequence[int]) -> list[int]:
    """Return the models by score on these folds, best first."""
    scores = [library.score(part, folds) for part in library.predictions]
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    return [int(place) for place in order]


def _fit_linear(
    x: np.ndarray, y: np.ndarray, task: Task
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression, RidgeCV

    if task is Task.REGRESSION:
        ridge = RidgeCV(alphas=np.logspace(-4, 2, 13)).fit(x, y.reshape(len(y), -1))
        kernel = np.asarray(ridge.coef_).reshape(-1, x.shape[1]).T
        bias = np.asarray(ridge.intercept_).reshape(-1)
    else:
        logistic = LogisticRegression(C=1.0, max_iter=2000).fit(x, y)
        kernel, bias = logistic.coef_.T, logistic.intercept_
    return kernel.astype(np.float32), bias.astype(np.float32)
