"""Ask, report, tell, crash and resume in any order: study and MLflow agree."""

import functools
import itertools
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ktune.data.dataset import Task
from ktune.data.folds import Partition, make_folds
from ktune.experiment.environment import Environment
from ktune.experiment.experiment import Experiment
from ktune.metrics.objectives import make_objective
from ktune.metrics.ranking import Goal
from ktune.searchers import make_searcher
from ktune.testing.fakes import complete, failed
from ktune.tracking.reader import find_search, list_trials, study_file
from ktune.tracking.search_logger import SearchLogger, SearchStart
from ktune.trial import TrialResult, TrialState
from ktune.tuner.resume import find_past

GOAL = Goal((make_objective("accuracy"),))
SEARCHES = (f"search {number}" for number in itertools.count())


def declare(hp):
    if hp.Boolean("deep"):
        hp.Int("layers", 2, 5)
    hp.Float("rate", 1e-4, 1e-1, sampling="log")


def experiment(name):
    return Experiment(name=name, data=([[0.0]], [0]), build=print, sampler="random")


def start(name):
    y = np.array([0, 1] * 6)
    folds = make_folds(2, y, task=Task.BINARY)
    return SearchStart(
        experiment=experiment(name),
        goal=GOAL,
        data={"name": "toy", "digest": "abc", "n_rows": 12, "n_test_rows": 0},
        partition=Partition(np.zeros((12, 1)), y, folds, np.arange(12)),
        class_names=("no", "yes"),
        environment=Environment("3.12", "Linux", "cpu", 2, "0.1.0", {}, {}),
        sources={},
        git={},
        command="ktune search toy.py",
    )


def searcher_of(name, path, find_result=None):
    return make_searcher(
        experiment(name), declare, goal=GOAL, path=path, find_result=find_result
    )


@functools.cache
def undisturbed():
    """The trials of a search that nothing happens to."""
    with TemporaryDirectory() as folder:
        searcher = searcher_of("any", Path(folder, "study.log"))
        trials = [searcher.ask() for _ in range(40)]
    return {trial.number: trial for trial in trials}


class Crash(Exception):
    """The process ends here."""


class Search(RuleBasedStateMachine):
    """A search with its study and its run in MLflow, and their expected content."""

    store = None

    def __init__(self):
        super().__init__()
        self.name = next(SEARCHES)
        self.records = SearchLogger(self.store, start(self.name))
        self.path = study_file(self.store, self.records.run_id)
        self.searcher = searcher_of(self.name, self.path)
        self.running = {}
        self.recorded = {}
        self.to_repeat = set()

    def pick(self, data):
        return self.running[data.draw(st.sampled_from(sorted(self.running)))]

    @precondition(lambda self: len(self.running) < 3)
    @rule()
    def ask(self):
        trial = self.searcher.ask()
        if self.to_repeat:
            assert trial.number == min(self.to_repeat)
            self.to_repeat.remove(trial.number)
        else:
            assert trial.number == len(self.recorded) + len(self.running)
        assert trial == undisturbed()[trial.number]
        self.running[trial.number] = trial

    @precondition(lambda self: self.running)
    @rule(data=st.data(), value=st.floats(0, 1))
    def report(self, data, value):
        self.searcher.report(self.pick(data), 0, value)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), state=st.sampled_from(TrialState))
    def finish(self, data, state):
        trial = self.pick(data)
        result = result_of(state)
        self.track(trial, result)
        self.searcher.tell(trial, result)

    @rule()
    def crash(self):
        self.resume()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), state=st.sampled_from(TrialState))
    def crash_between_mlflow_and_study(self, data, state):
        self.track(self.pick(data), result_of(state))
        self.resume()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def crash_amid_a_record(self, data):
        def die(*_):
            raise Crash

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.store.client, "set_terminated", die)
            with pytest.raises(Crash):
                self.records.track(self.pick(data), complete(0.5), "good", {})
        self.resume()

    def track(self, trial, result):
        self.records.track(trial, result, "good", {})
        self.recorded[trial.number] = result.state
        del self.running[trial.number]

    def resume(self):
        """Resume in a new process with the records."""
        self.to_repeat |= set(self.running)
        self.running = {}
        past = find_past(self.store, self.name, True)
        assert {n: r.state for n, (_, r) in past.results.items()} == self.recorded
        self.records = SearchLogger(self.store, start(self.name), past.search)
        self.searcher = searcher_of(self.name, self.path, past.find_result)

    @invariant()
    def trials_have_one_run_each(self):
        assert len(self.records.trial_runs) == len(self.recorded)

    def teardown(self):
        self.resume()
        runs = list_trials(self.store, find_search(self.store, self.records.run_id))
        assert {run.number: run.state for run in runs} == self.recorded
        entries = self.searcher._state.trial_store.records()
        told = {e.trial.number: e.state for e in entries if e.state is not None}
        assert told == self.recorded
        assert {e.trial.number for e in entries} - {*told} == self.to_repeat


def result_of(state):
    made = {
        TrialState.COMPLETE: complete(0.5),
        TrialState.FAILED: failed(),
        TrialState.PRUNED: TrialResult(TrialState.PRUNED, score=0.4, epochs=1),
    }
    return made[state]


def test_study_and_mlflow_agree_after_any_sequence(store, monkeypatch):
    monkeypatch.setattr(Search, "store", store)
    n_examples = 60 if os.environ.get("KTUNE_LONG_TESTS") else 4
    few = settings(max_examples=n_examples, stateful_step_count=8)
    run_state_machine_as_test(Search, settings=few)
