"""Select members and weights by out-of-fold predictions, and estimate the score.

Source:
    Caruana, Niculescu-Mizil, Crew, Ksikes, Ensemble Selection from Libraries of Models,
    ICML 2004: greedy selection with replacement, which begins with the best models.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.models.ensembles.blend import Blend, LinearStack, Mean, side_by_side

if TYPE_CHECKING:  # reading a search must not wait for scikit-learn
    from ktune.models.ensembles.library import Library

Choose: TypeAlias = Callable[["Library", Sequence[int]], Blend]
"""Makes a blend of a library from the rows of some folds only."""

MAX_PICKS = 10
MAX_MEMBERS = 5
"""Number of distinct members; each one costs size and latency."""

STACKED = 5
"""Number of stacked trials; more coefficients would fit the noise."""


@dataclass(frozen=True)
class NestedEstimate:
    """Estimated score of a selection on rows that took no part in it.

    Attributes:
        scores: One per fold: the mean loss of its rows, log loss or squared error.
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


def best_single(library: "Library", folds: Sequence[int]) -> Mean:
    """Select the best single model on these folds."""
    return Mean((_rank(library, folds)[0],), (1.0,))


def choose_greedily(library: "Library", folds: Sequence[int]) -> Mean:
    """Repeatedly add the model that improves the score on these folds most.

    The first members are the best models, as many as have the best mean. A model may
    be added several times, which increases its weight. The result is the best of all
    intermediate ensembles, the smaller one of equally good ones.
    """
    picks = _best_start(library, folds)
    total = library.predictions[picks].astype(np.float64).sum(axis=0)
    best = (library.score(total / len(picks), folds), len(picks))
    while len(picks) < MAX_PICKS:
        pool = _pool(library, picks)
        sums = [total + library.predictions[place] for place in pool]
        scores = [library.score(s / (len(picks) + 1), folds) for s in sums]
        # A model with an undefined score must not be selected.
        place = int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))
        picks.append(pool[place])
        total = sums[place]
        if scores[place] > best[0]:
            best = (scores[place], len(picks))
    counts = Counter(picks[: best[1]])
    shares = tuple(count / best[1] for count in counts.values())
    return Mean(tuple(counts), shares)


def _best_start(library: "Library", folds: Sequence[int]) -> list[int]:
    """Return the best models whose mean is better than that of fewer or more."""
    ranked = _rank(library, folds)[:MAX_MEMBERS]
    sums = np.cumsum(library.predictions[ranked], axis=0, dtype=np.float64)
    scores = [library.score(total / (n + 1), folds) for n, total in enumerate(sums)]
    return ranked[: 1 + int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]


def _pool(library: "Library", picks: Sequence[int]) -> list[int]:
    """Return the models that may be added: at last only those that are members."""
    members = list(dict.fromkeys(picks))
    return members if len(members) == MAX_MEMBERS else [*range(len(library.runs))]


def stack(library: "Library", folds: Sequence[int]) -> LinearStack:
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


def predict_nested(library: "Library", choose: Choose) -> np.ndarray | None:
    """Predict each fold with the selection on the other folds, shape (rows, …).

    No row takes part in both selection and prediction, so a score is unbiased. None
    with fewer than two folds.
    """
    n_folds = len(library.folds)
    if n_folds < 2:
        return None
    found = np.empty(library.predictions.shape[1:], np.float64)
    for fold, rows in enumerate(library.folds):
        blend = choose(library, [k for k in range(n_folds) if k != fold])
        members = library.predictions[list(blend.members)][:, rows]
        found[rows] = blend.apply(members)
    return found


def estimate_nested(library: "Library", choose: Choose) -> NestedEstimate | None:
    """Estimate a selection by `predict_nested`; None with fewer than two folds."""
    predictions = predict_nested(library, choose)
    return None if predictions is None else estimate_of(library, predictions)


def estimate_of(library: "Library", predictions: np.ndarray) -> NestedEstimate:
    """Return the mean loss of every fold for predictions of all rows."""
    scores = [-library.score(predictions, [k]) for k in range(len(library.folds))]
    return NestedEstimate(tuple(scores))


def all_folds(library: "Library") -> range:
    """Return all folds of a library."""
    return range(len(library.folds))


def _rank(library: "Library", folds: Sequence[int]) -> list[int]:
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
