from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.models.ensembles.blend import Mean
from ktune.models.ensembles.library import Library
from ktune.models.ensembles.selection import (
    MAX_MEMBERS,
    MAX_PICKS,
    all_folds,
    best_single,
    choose_greedily,
    estimate_nested,
    stack,
)

N = 300


def library(predictions, y, task, n_folds=3):
    return Library(
        runs=tuple(SimpleNamespace(number=k) for k in range(len(predictions))),
        predictions=np.stack(predictions).astype(np.float32),
        y=y,
        folds=tuple(np.arange(len(y))[k::n_folds] for k in range(n_folds)),
        task=task,
    )


def regression(seed, noises, **more):
    """Models that see the target through noise of their own."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=N).astype(np.float32)
    predictions = [y + noise * rng.normal(size=N) for noise in noises]
    return library(predictions, y, Task.REGRESSION, **more)


def binary(seed, skills):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, N)
    predictions = [
        np.clip(0.5 + (y - 0.5) * skill + 0.25 * rng.normal(size=N), 0.01, 0.99)
        for skill in skills
    ]
    return library(predictions, y, Task.BINARY)


def multiclass(seed, n_models=3, n_classes=3):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, N)
    raw = [np.eye(n_classes)[y] + rng.random((N, n_classes)) for _ in range(n_models)]
    predictions = [part / part.sum(axis=1, keepdims=True) for part in raw]
    return library(predictions, y, Task.MULTICLASS)


def test_models_that_err_differently_are_combined_and_win():
    shelf = regression(0, [0.5, 0.5, 0.5, 0.5])
    blend = choose_greedily(shelf, all_folds(shelf))
    assert len(blend.members) == 4
    together = estimate_nested(shelf, choose_greedily).mean
    alone = estimate_nested(shelf, best_single).mean
    assert together < 0.7 * alone  # of independent errors: half


def test_a_model_that_is_far_better_stays_alone():
    shelf = regression(0, [0.01, 3.0, 3.0])
    assert choose_greedily(shelf, all_folds(shelf)) == Mean((0,), (1.0,))


def test_the_better_of_two_gets_more_weight():
    shelf = regression(1, [0.4, 0.6])
    blend = choose_greedily(shelf, all_folds(shelf))
    shares = dict(zip(blend.members, blend.shares, strict=True))
    assert shares[0] > shares[1] > 0


@given(st.integers(0, 1000), st.lists(st.floats(0.1, 2.0), min_size=2, max_size=5))
def test_on_the_rows_that_choose_greedy_is_never_worse_than_the_best(seed, noises):
    shelf = regression(seed, noises)
    folds = all_folds(shelf)
    blend = choose_greedily(shelf, folds)
    single = best_single(shelf, folds)
    assert sum(blend.shares) == pytest.approx(1)
    assert len(set(blend.members)) == len(blend.members) <= MAX_PICKS
    blended = blend.apply(shelf.predictions[list(blend.members)])
    best = shelf.predictions[single.members[0]]
    assert shelf.score(blended, folds) >= shelf.score(best, folds) - 1e-6


def test_at_most_five_models_are_members_however_many_err_differently():
    shelf = regression(4, [0.5] * 12)
    blend = choose_greedily(shelf, all_folds(shelf))
    assert len(blend.members) == MAX_MEMBERS
    assert max(blend.shares) <= 3 / MAX_PICKS


def test_equal_accuracy_does_not_stop_the_selection():
    """Log loss tells models apart whose accuracy is the same."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, N)
    unsure = [np.where(y == 1, 0.6, 0.4) + 0.1 * rng.random(N) - 0.05 for _ in "ab"]
    sure = np.where(y == 1, 0.95, 0.05)
    shelf = library([*unsure, sure], y, Task.BINARY)
    assert choose_greedily(shelf, all_folds(shelf)).members == (2,)


def test_rows_with_more_weight_decide_more():
    y = np.zeros(N, np.float32)
    right_half, left_half = np.zeros(N), np.ones(N)
    right_half[: N // 2] = 1.0
    left_half[: N // 2] = 0.1
    shelf = library([right_half, left_half], y, Task.REGRESSION)
    heavy = np.where(np.arange(N) < N // 2, 100.0, 1.0)
    best = best_single(replace(shelf, weights=heavy), all_folds(shelf))
    assert best_single(shelf, all_folds(shelf)).members == (0,)
    assert best.members == (1,)


def test_the_estimate_of_a_fold_does_not_see_its_rows():
    """Targets of a fold are scrambled: what others choose must stay the same."""
    seen = []
    shelf = binary(0, [0.5, 0.6])

    def spy(given, folds):
        seen.append(tuple(folds))
        return best_single(given, folds)

    estimate = estimate_nested(shelf, spy)
    assert seen == [(1, 2), (0, 2), (0, 1)]
    assert len(estimate.scores) == 3


def test_noise_alone_promises_nothing():
    """Random guesses: picking among many looks good, the nested estimate does not."""
    promised, found = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, N)
        guesses = [rng.random(N) for _ in range(20)]
        shelf = library(guesses, y, Task.BINARY)
        best = shelf.predictions[best_single(shelf, all_folds(shelf)).members[0]]
        promised.append(-shelf.score(best, all_folds(shelf)))
        found.append(estimate_nested(shelf, best_single).mean)
    assert np.mean(promised) < 0.95
    assert abs(np.mean(found) - 1.0) < 0.03  # the log loss of uniform guesses


def test_with_one_fold_nothing_can_be_estimated():
    assert estimate_nested(regression(0, [0.5, 0.5], n_folds=1), best_single) is None


def test_scores_have_the_unit_of_the_objective():
    assert all(s > 0 for s in estimate_nested(binary(0, [0.5]), best_single).scores)


@pytest.mark.parametrize(
    "shelf",
    [regression(3, [0.5] * 4), binary(3, [0.4] * 4), multiclass(3)],
    ids=["regression", "binary", "multiclass"],
)
def test_a_stack_of_independent_models_beats_each_of_them(shelf):
    together = estimate_nested(shelf, stack).mean
    alone = estimate_nested(shelf, best_single).mean
    assert together < alone
    blend = stack(shelf, all_folds(shelf))
    assert sum(blend.weights()) == pytest.approx(1)


def test_several_labels_cannot_be_stacked():
    y = np.zeros((N, 2), int)
    shelf = library([np.zeros((N, 2))] * 2, y, Task.MULTILABEL)
    with pytest.raises(ExperimentError, match="--method greedy"):
        stack(shelf, all_folds(shelf))
