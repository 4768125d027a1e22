"""The time that a search keeps free for its end, from made-up trials."""

from types import SimpleNamespace

import pytest

from ktune.data.dataset import Task
from ktune.metrics.objectives import make_objective
from ktune.metrics.ranking import Goal
from ktune.testing.fakes import make_trial
from ktune.trial import TrialResult, TrialState
from ktune.tuner import budget as budget_module
from ktune.tuner.budget import TimeBudget, make_budget, version_metric

GOAL = Goal((make_objective("accuracy"),))


@pytest.fixture(autouse=True)
def keras_loads_in_five_seconds(monkeypatch):
    monkeypatch.setattr(budget_module, "import_seconds", lambda: 5.0)


def results(n_trials, seconds=10.0, state=TrialState.COMPLETE):
    return [
        (
            make_trial(number),
            TrialResult(state, score=0.9, seconds=seconds, epochs=10, best_epoch=4),
        )
        for number in range(n_trials)
    ]


def context(experiment, task=Task.BINARY):
    data = SimpleNamespace(task=task)
    return SimpleNamespace(experiment=experiment, goal=GOAL, data=data)


def budget(trials, timeout=90.0, final="auto", version_seconds=12.0):
    experiment = SimpleNamespace(timeout_seconds=timeout, final=final, jobs=None)
    return TimeBudget(context(experiment), trials, version_seconds, started=0.0)


def test_without_a_limit_nothing_is_kept_free():
    assert budget(results(20), timeout=None).reserve() == 0.0
    assert budget(results(20), timeout=None).seconds_left == float("inf")


def test_a_refit_takes_the_time_of_its_trial_to_the_best_epoch_and_a_trace():
    assert budget(results(3)).reserve() == pytest.approx(12 + 2 + 5)


def test_before_the_first_complete_trial_a_version_and_a_trace_are_kept_free():
    assert budget([]).reserve() == pytest.approx(14)
    assert budget(results(3, state=TrialState.PRUNED)).reserve() == pytest.approx(14)


def test_an_average_needs_time_for_its_refits_and_a_second_version():
    forecast = (12 + 7) + 12 + 4 * 7
    assert budget(results(20), timeout=600).reserve() == pytest.approx(forecast)
    assert budget(results(20), 600, "single").reserve() == pytest.approx(19)
    assert budget(results(9), timeout=600).reserve() == pytest.approx(19)


def test_refits_that_auto_would_not_make_are_not_kept_free():
    # 28 s are more than a quarter of the 100 s of ten trials.
    assert budget(results(10), timeout=600).reserve() == pytest.approx(19)
    assert budget(results(10), 600, "average").reserve() == pytest.approx(59)


def test_at_most_half_of_the_limit_is_kept_free():
    assert budget(results(3), timeout=10.0).reserve() == 5.0


def test_the_last_search_that_recorded_its_end_is_the_forecast(monkeypatch):
    searches = [
        SimpleNamespace(metrics={}),
        SimpleNamespace(metrics={"version_seconds": 21.0}),
        SimpleNamespace(metrics={"version_seconds": 99.0}),
    ]
    monkeypatch.setattr(budget_module, "list_searches", lambda *_: searches)
    experiment = SimpleNamespace(name="digits", timeout="90s")
    assert make_budget(None, context(experiment), []).version_seconds == 21.0
    del searches[1:]
    assert make_budget(None, context(experiment), []).version_seconds == 17.5


def test_the_time_of_an_end_is_recorded_by_version():
    assert version_metric(30.0, 2) == {"version_seconds": 15.0}
    assert version_metric(30.0, 0) == {}
