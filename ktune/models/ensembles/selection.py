"""Choose members and weights by out-of-fold predictions, and estimate what that gives.

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
"""Makes a blend of a library by looking at the rows of some folds only."""

MOST_PICKS = 10
STACKED = 5
"""So many of the best trials are stacked; more coefficients would learn the noise."""


@dataclass(frozen=True)
class NestedEstimate:
    """What a way of choosing reaches on rows that did not take part in it.

    Attributes:
        scores: One a fold, in the objective's unit.
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
    """Choose the one model that is best on these folds."""
    return Mean((_rank(library, folds)[0],), (1.0,))


def choose_greedily(library: Library, folds: Sequence[int]) -> Mean:
    """Add, again and again, the model that helps most on these folds.

    A model may be added several times; that gives it weight. Of all ensembles on the
    way the best is taken, the smaller one where two are equally good.
    """
    first = _rank(library, folds)[0]
    picks, total = [first], library.predictions[first].astype(np.float64)
    best = (library.score(library.predictions[first], folds), 1)
    while len(picks) < MOST_PICKS:
        sums = [total + part for part in library.predictions]
        scores = [library.score(s / (len(picks) + 1), folds) for s in sums]
        # An undefined score is no reason to pick a model.
        pick = int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))
        picks.append(pick)
        total = sums[pick]
        if scores[pick] > best[0]:
            best = (scores[pick], len(picks))
    counts = Counter(picks[: best[1]])
    shares = tuple(count / best[1] for count in counts.values())
    return Mean(tuple(counts), shares)


def stack(library: Library, folds: Sequence[int]) -> LinearStack:
    """Fit a linear model to what the best few models predict for these folds.

    Raises:
        ExperimentError: It is a task of several labels.
    """
    if library.task is Task.MULTILABEL:
        raise ExperimentError(
            "stacking does not know tasks of several labels. Use --method greedy."
        )
    members = tuple(_rank(library, folds)[:STACKED])
    rows = np.concatenate([library.folds[k] for k in folds])
    x = side_by_side(library.predictions[list(members)][:, rows])
    kernel, bias = _fit_linear(x, library.y[rows], library.task)
    return LinearStack(members, kernel, bias, library.task)


def estimate_nested(library: Library, choose: Choose) -> NestedEstimate | None:
    """Estimate a way of choosing: on each fold, by what the others have chosen.

    The rows that choose are never those that judge, so nothing is won by looking.

    Returns:
        The estimate; None with fewer than two folds, where that is not possible.
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
    """Return every fold of a library."""
    return range(len(library.folds))


def _rank(library: Library, folds: Sequence[int]) -> list[int]:
    """Return the models by their own score on these folds, best first."""
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
