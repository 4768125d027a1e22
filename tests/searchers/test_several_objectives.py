"""Several objectives and limits on a model's cost, engine by engine."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from ktune.experiment.experiment import Experiment
from ktune.metrics.objectives import make_objective
from ktune.metrics.ranking import Goal
from ktune.protocols import Searcher
from ktune.searchers import make_searcher
from ktune.searchers.trial_store import open_trial_store
from ktune.testing.searchers import GOAL
from ktune.trial import Failure, Trial, TrialResult, TrialState

TWO = Goal((make_objective("accuracy"), make_objective("n_parameters")))
TOO_LARGE = TrialResult(
    TrialState.FAILED, failure=Failure("ConstraintViolated", "too large", "")
)


def declare(hp: Any) -> None:
    hp.Int("units", 1, 10_000)
    hp.Choice("optimizer", ["adam", "sgd"])


def make(path: Path, sampler: str, engine: str, goal: Goal = TWO) -> Searcher:
    experiment = Experiment(
        name="x",
        data=([[0.0]], [0]),
        build=print,
        engine=engine,
        sampler=sampler,
        objective=[objective.metric for objective in goal.objectives],
    )
    return make_searcher(experiment, declare, goal=goal, path=path)


def result_of(trial: Trial) -> TrialResult:
    units = int(trial.values["units"])
    score = 1 - 1 / units
    return TrialResult(
        TrialState.COMPLETE, score=score, scores=(score, float(units)), epochs=1
    )


def run(searcher: Searcher, count: int) -> list[Trial]:
    asked = []
    for _ in range(count):
        trial = searcher.ask()
        assert trial is not None
        assert searcher.report(trial, 0, 0.1)
        searcher.tell(trial, result_of(trial))
        asked.append(trial)
    return asked


@pytest.mark.parametrize(
    ("engine", "sampler"),
    [
        ("optuna", "tpe"),
        ("optuna", "nsga2"),
        ("optuna", "random"),
        ("optuna", "grid"),
        ("optuna", "qmc"),
        ("kerastuner", "random"),
        ("kerastuner", "grid"),
    ],
)
def test_a_search_of_two_objectives_stands_in_the_study_and_goes_on(
    tmp_path: Path, engine: str, sampler: str
) -> None:
    path = tmp_path / "study.log"
    first = run(make(path, sampler, engine), 8)
    second = run(make(path, sampler, engine), 4)
    assert [trial.number for trial in first + second] == list(range(12))
    study = open_trial_store(path, "x").study
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert [t.values for t in complete] == [
        list(result_of(trial).scores) for trial in first + second
    ]
    assert open_trial_store(path, "x").importances()


def test_tpe_learns_to_keep_below_a_limit(tmp_path: Path) -> None:
    """Units above 3,000 are refused: of the later trials few are."""
    searcher = make(tmp_path / "study.log", "tpe", "optuna", GOAL)
    refused = []
    for number in range(60):
        trial = searcher.ask()
        assert trial is not None
        is_refused = int(trial.values["units"]) > 3_000
        refused.append(is_refused)
        result = TrialResult(TrialState.COMPLETE, score=0.5, epochs=1)
        searcher.tell(trial, TOO_LARGE if is_refused else result)
        assert trial.number == number
    assert sum(refused[:10]) >= 4
    assert sum(refused[-30:]) <= 10


def test_a_trial_over_a_limit_is_a_failed_trial_in_the_study(
    tmp_path: Path,
) -> None:
    path = tmp_path / "study.log"
    searcher = make(path, "tpe", "optuna", GOAL)
    trial = searcher.ask()
    assert trial is not None
    searcher.tell(trial, TOO_LARGE)
    (entry,) = open_trial_store(path, "x").records()
    assert entry.state is TrialState.FAILED
    assert entry.score is None
