"""The choice between the best trial and an average, from predictions alone."""

from types import SimpleNamespace

import numpy as np
import pytest

from ktune.data.dataset import Task
from ktune.metrics.objectives import make_objective
from ktune.models.ensembles.final_choice import N_REFITS, choose_final
from ktune.models.ensembles.library import Library

N = 400
ACCURACY = make_objective("accuracy")


def library(predictions, y, n_folds=4, task=Task.BINARY):
    return Library(
        runs=tuple(
            SimpleNamespace(number=k, run_id=f"run{k}") for k in range(len(predictions))
        ),
        predictions=np.stack(predictions).astype(np.float32),
        y=y,
        folds=tuple(np.arange(len(y))[k::n_folds] for k in range(n_folds)),
        task=task,
    )


def of_noisy_trials(n_trials=6, noise=0.35, seed=0, **more):
    """Trials of the same skill whose errors are their own."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, N)
    predictions = [
        np.clip(0.3 + 0.4 * y + noise * rng.normal(size=N), 0.01, 0.99)
        for _ in range(n_trials)
    ]
    return library(predictions, y, **more)


def of_one_good_trial():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, N)
    good = np.where(y == 1, 0.97, 0.03)
    return library([good, *(rng.random(N) for _ in range(4))], y)


def choose(shelf, wanted="auto", objective=ACCURACY):
    return choose_final(shelf, objective, wanted=wanted)


def test_a_mean_over_trials_is_taken_when_it_is_better_beyond_noise():
    choice = choose(of_noisy_trials())
    assert 2 <= len({part.run_id for part in choice.parts}) <= 5
    assert sum(part.weight for part in choice.parts) == pytest.approx(1)
    assert "against the best one alone: better by" in choice.reason
    assert len(choice.estimate.scores) == 4


def test_a_far_better_trial_stays_alone():
    assert choose(of_one_good_trial()).parts == ()


def test_a_wanted_average_without_better_trials_is_one_over_refits():
    choice = choose(of_one_good_trial(), "average")
    assert [part.refit for part in choice.parts] == list(range(N_REFITS))
    assert {part.run_id for part in choice.parts} == {"run0"}


def test_a_gain_within_noise_is_taken_only_when_an_average_is_wanted():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 40)
    first = np.clip(0.3 + 0.4 * y + 0.2 * rng.normal(size=40), 0.05, 0.95)
    second = np.clip(first + 0.1 * rng.normal(size=40), 0.05, 0.95)
    shelf = library([first, second], y)
    automatic, wanted = choose(shelf), choose(shelf, "average")
    assert automatic.parts == ()
    assert "noise" in automatic.reason or "no " in automatic.reason
    assert len(wanted.parts) >= 2


def test_an_average_that_loses_in_the_objective_is_not_taken_by_itself():
    """The first trial is right more often, but never sure; the others are surer."""
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, N)

    def trial(share_right, probability):
        is_right = rng.random(N) < share_right
        return np.where((y == 1) == is_right, probability, 1 - probability)

    surer = [trial(0.75, 0.75) for _ in range(5)]
    shelf = library([trial(0.99, 0.51), *surer], y)
    choice = choose(shelf)
    assert choice.parts == ()
    assert choice.reason.endswith("accuracy is worse")


def test_the_luck_of_the_best_of_many_trials_does_not_count_against_a_mean():
    """Of many equal trials the best is lucky on the rows that have chosen it."""
    shelf = of_noisy_trials(n_trials=25, noise=0.25, seed=2)
    losses = [shelf.losses(part).mean() for part in shelf.predictions]
    lucky = int(np.argmin(losses))
    order = [lucky, *(k for k in range(25) if k != lucky)]
    shelf = library(list(shelf.predictions[order]), shelf.y)
    assert choose(shelf).parts


def test_one_hold_out_is_not_enough_for_an_estimate():
    choice = choose(of_noisy_trials(n_folds=1))
    assert choice.parts == ()
    assert "hold-out" in choice.reason
