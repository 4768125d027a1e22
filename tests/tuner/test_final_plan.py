"""Plans of the final model, from made-up trials: limits, time, and what is excluded."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from ktune.data.dataset import Task
from ktune.errors import StoreError
from ktune.metrics.objectives import make_objective
from ktune.metrics.ranking import Goal
from ktune.models.ensembles.library import Library
from ktune.testing.fakes import make_trial
from ktune.trial import TrialResult, TrialState
from ktune.tuner import final_plan
from ktune.tuner.budget import TimeBudget, may_average
from ktune.tuner.final_plan import (
    BestTrial,
    Planner,
    forecast_seconds,
)

N = 400
ACCURACY = make_objective("accuracy")


def results(n_trials=12, seconds=10.0, state=TrialState.COMPLETE, **more):
    fields = {"n_parameters": 100, "epochs": 10, "best_epoch": 4, **more}
    return [
        (make_trial(k), TrialResult(state, score=0.9, seconds=seconds, **fields))
        for k in range(n_trials)
    ]


def context(goal=None, **fields):
    settings = {"final": "auto", "max_parameters": None, "jobs": None, **fields}
    settings.setdefault("timeout_seconds", None)
    return SimpleNamespace(
        experiment=SimpleNamespace(threshold=None, **settings),
        goal=goal or Goal((ACCURACY,)),
        objective=ACCURACY,
        data=SimpleNamespace(task=Task.BINARY),
    )


def best(trials, seconds=1.0):
    fitted = SimpleNamespace(model=SimpleNamespace(), seconds=seconds, trained=None)
    return BestTrial(*trials[0], "run0", fitted)


@pytest.fixture
def library(monkeypatch):
    """Trials of the same skill whose errors are their own: a mean is far better."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, N)
    noise = 0.35 * rng.normal(size=(12, N))
    found = Library(
        runs=tuple(SimpleNamespace(number=k, run_id=f"run{k}") for k in range(12)),
        predictions=np.clip(0.3 + 0.4 * y + noise, 0.01, 0.99).astype(np.float32),
        y=y,
        folds=tuple(np.arange(N)[k::4] for k in range(4)),
        task=Task.BINARY,
    )
    monkeypatch.setattr(final_plan, "read_library", lambda *_, **__: found)
    monkeypatch.setattr(final_plan, "why_not_in_one_model", lambda _: "")
    return found


def plan(trials, seconds=1.0, **fields):
    found = context(**fields)
    budget = TimeBudget(found, trials, 5.0, time.monotonic())
    return Planner(None, None, found, budget).plan(best(trials, seconds)).choice


def considers(n_complete, **fields):
    return may_average(context(**fields), n_complete)


def test_ten_complete_trials_are_needed():
    assert considers(10)
    assert not considers(9)


def test_several_objectives_keep_the_best_trial():
    goal = Goal((ACCURACY, make_objective("n_parameters")))
    assert not considers(20, goal=goal)


def test_a_fixed_final_model_does_not_depend_on_the_number_of_trials():
    assert considers(1, final="average")
    assert not considers(50, final="single")


@pytest.mark.usefixtures("library")
def test_a_better_mean_is_planned():
    assert len(plan(results()).parts) >= 2


@pytest.mark.usefixtures("library")
def test_a_mean_above_the_most_parameters_is_not_planned():
    choice = plan(results(), max_parameters=150)
    assert choice.parts == ()
    assert "exceed max_parameters=150" in choice.reason
    assert plan(results(), max_parameters=150, final="average").parts == ()


@pytest.mark.usefixtures("library")
def test_refits_that_take_more_than_a_quarter_of_the_time_are_not_planned():
    trials = results(seconds=1.0)
    choice = plan(trials, seconds=1.5)
    assert choice.parts == ()
    assert "more than a quarter of the 12 s of the trials" in choice.reason
    assert plan(trials, seconds=1.5, final="average").parts


@pytest.mark.usefixtures("library")
def test_refits_that_exceed_the_time_left_are_not_planned():
    choice = plan(results(), timeout_seconds=11.0)
    assert choice.parts == ()
    assert "of `timeout` are too few" in choice.reason
    assert plan(results(), timeout_seconds=11.0, final="average").parts == ()
    assert plan(results(), timeout_seconds=60.0).parts


def test_unreadable_predictions_leave_the_best_trial(monkeypatch, library):
    def broken(*_, **__):
        raise StoreError("artifact gone")

    monkeypatch.setattr(final_plan, "read_library", broken)
    choice = plan(results())
    assert (choice.parts, choice.reason) == ((), "no average: artifact gone")


def test_a_model_that_cannot_be_a_part_of_another_stays_alone(monkeypatch, library):
    monkeypatch.setattr(final_plan, "why_not_in_one_model", lambda _: "no way")
    assert plan(results()).reason == "no way"


def test_the_time_of_refits_follows_from_trials_up_to_their_best_epoch(library):
    trials = results(3, seconds=10.0)
    slow = TrialResult(
        TrialState.COMPLETE, score=0.8, seconds=40.0, epochs=10, best_epoch=9
    )
    by_number = {0: trials[0][1], 1: trials[1][1], 2: slow}
    parts = [final_plan.Part(number, f"run{number}", 1 / 3) for number in by_number]
    # Trial 0 is refitted already; trial 2 takes 40 s to its best epoch, trial 0 5 s.
    found = forecast_seconds(parts, by_number, best(trials, seconds=2.0))
    assert found == pytest.approx(2.0 * (5 + 40) / 5)
