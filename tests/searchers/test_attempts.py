"""A trial that ends the process is tried twice, then recorded as failed."""

import pytest

from ktune.executors.failures import process_ended
from ktune.experiment.experiment import Experiment
from ktune.metrics.objectives import make_objective
from ktune.metrics.ranking import Goal
from ktune.searchers import make_searcher
from ktune.searchers.attempts import AttemptFile
from ktune.searchers.local_study import LocalStudy
from ktune.testing.fakes import complete
from ktune.trial import TrialState

GOAL = Goal((make_objective("accuracy"),))
SAMPLERS = [("optuna", "random"), ("optuna", "grid"), ("kerastuner", "random")]


class ProcessEnded(BaseException):
    """Stands for ``os._exit``: nothing in this process handles it."""


class Builder:
    """Requests two values; ends the process for some of them."""

    def __init__(self, deadly=()):
        self.deadly = deadly
        self.n_runs = 0

    def __call__(self, hp):
        self.n_runs += 1
        units = hp.Int("units", 1, 6)
        if units in self.deadly:
            raise ProcessEnded
        hp.Boolean("bias")


@pytest.fixture(params=SAMPLERS, ids="-".join)
def start(request, tmp_path):
    """Start the searcher as a new process would."""
    engine, sampler = request.param

    def make(declare, **more):
        experiment = Experiment(
            name="a", data=([[0.0]], [0]), build=print, engine=engine, sampler=sampler
        )
        path = tmp_path / "study.log"
        options = {"counts_attempts": True, "epochs": 1, **more}
        return make_searcher(experiment, declare, goal=GOAL, path=path, **options)

    return make


def run(start, declare, n_trials, **more):
    """Search as resumed after each death; return trials by number, and the deaths."""
    trials, n_deaths = {}, 0
    while len(trials) < n_trials and n_deaths < 50:
        try:
            searcher = start(declare, **more)
            while len(trials) < n_trials and (trial := searcher.ask()) is not None:
                has_ended = trial.has_ended_process
                result = process_ended() if has_ended else complete(0.5)
                trials[trial.number] = (trial, result)
                searcher.tell(trial, result)
        except ProcessEnded:
            n_deaths += 1
    return trials, n_deaths


def test_a_builder_that_ends_the_process_costs_two_attempts(start):
    builder = Builder(deadly={2, 3, 4, 5, 6})
    trials, n_deaths = run(start, builder, 4)
    ended = [trial for trial, result in trials.values() if trial.has_ended_process]
    assert sorted(trials) == [0, 1, 2, 3]
    assert ended
    assert n_deaths == 2 * len(ended)
    assert all(list(trial.values) == ["units"] for trial in ended)
    assert len({trial.values["units"] for trial in ended}) == len(ended)


def test_start_values_that_end_the_process_are_not_tried_for_ever(start):
    builder = Builder(deadly={5})
    trials, n_deaths = run(start, builder, 3, start_from=[{"units": 5}])
    assert n_deaths == 2
    assert trials[1][0].values == {"units": 5}
    assert trials[1][1].state is TrialState.FAILED
    assert not trials[2][0].has_ended_process


def test_an_evaluation_that_ends_the_process_is_repeated_once(start):
    asked = [start(Builder()).ask() for _ in range(3)]  # each process ends here
    assert [trial.number for trial in asked] == [0, 0, 0]
    assert [trial.has_ended_process for trial in asked] == [False, False, True]
    searcher = start(Builder())
    searcher.tell(searcher.ask(), process_ended())
    following = searcher.ask()
    assert (following.number, following.has_ended_process) == (1, False)


def test_workers_may_end_without_limit(start):
    asked = [start(Builder(), counts_attempts=False).ask() for _ in range(4)]
    assert not any(trial.has_ended_process for trial in asked)


def test_an_orderly_end_is_no_attempt(tmp_path):
    study = LocalStudy(tmp_path / "study.log", "study")

    def interrupted():
        with study.session():
            study.attempts().note(3, ())
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert study.attempts().ended_at(3) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"number": 1}', '{"a": 1}'])
def test_a_file_that_is_cut_off_counts_nothing(tmp_path, content):
    path = tmp_path / "study.attempt"
    path.write_text(content)
    assert AttemptFile(path).ended_at(1) is None
