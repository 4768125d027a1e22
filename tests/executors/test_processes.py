"""Trials in processes: the same results, shared data, deaths that cost one trial."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from ktune.errors import ExperimentError, SpaceError
from ktune.executors.failures import worker_died
from ktune.executors.processes import ProcessesExecutor
from ktune.executors.serialization import deserialize, serialize
from ktune.protocols import Work
from ktune.searchers.discovery import discover
from ktune.testing.executors import (
    DEADLY,
    TABLE,
    ExecutorContract,
    make_evaluate,
    run_trials,
)
from ktune.testing.fakes import make_trial
from ktune.trial import TrialResult, TrialState


@pytest.fixture(scope="module")
def executor():
    executor = ProcessesExecutor(Work(make_evaluate(TABLE)), 2)
    yield executor
    executor.close()


class TestProcesses(ExecutorContract):
    """Its workers are processes of this machine."""


def test_the_failure_of_a_dead_worker_has_its_signal_and_log_tail(executor):
    failure = run_trials(executor, DEADLY)[DEADLY].failure
    assert "SIGKILL" in failure.message
    assert "end of my log" in failure.traceback


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_replaced():
    def evaluate(trial, report):
        if trial.number == 1:
            time.sleep(600)
        return TrialResult(TrialState.COMPLETE, score=1.0)

    executor = ProcessesExecutor(Work(evaluate), 1, trial_timeout=1.0)
    found = run_trials(executor, 0, 1, 2)
    executor.close()
    assert found[1].failure.kind == "TrialTimeout"
    assert (found[0].score, found[2].score) == (1.0, 1.0)


def declare_or_die(hp):
    """Declare values; some of them end or block the process."""
    units = hp.Int("units", 1, 9)
    if units == 2:
        os._exit(1)
    if units == 3:
        time.sleep(600)
    if units == 4:
        raise ValueError("a mistake")
    with hp.conditional_scope("units", [5]):
        hp.Choice("pid", [str(os.getpid())])
        hp.Float("rate", 0.1, 0.9)


@pytest.fixture(scope="module")
def declaring():
    work = Work(lambda trial, report: None, declare=declare_or_die)
    executor = ProcessesExecutor(work, 1, trial_timeout=0.6)
    yield executor
    executor.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("units", "names"),
    [
        (5, ["units", "pid", "rate"]),
        (1, ["units"]),
        (4, ["units"]),
        (2, ["units"]),
        (3, ["units"]),
        (6, ["units"]),
    ],
)
def test_a_builder_requests_values_in_a_worker_and_ends_there(declaring, units, names):
    found = {}

    def propose(key, parameter):
        found[key] = units if key == "units" else parameter.default
        return found[key]

    discover(declaring.declare, propose, lambda parameter: parameter.name)
    assert list(found) == names
    assert found.get("pid") != str(os.getpid())


def test_an_unsupported_parameter_stops_the_builder_in_the_worker(declaring):
    def propose(key, parameter):
        raise SpaceError("too many values")

    for _ in range(2):  # the worker is of use afterwards
        with pytest.raises(SpaceError, match="too many values"):
            discover(declaring.declare, propose, lambda parameter: parameter.name)


def test_more_trials_than_idle_workers_wait_for_one(executor):
    """A worker that helps another trial is not idle."""
    for number in range(3):
        executor.submit(make_trial(number))
    found = {executor.wait(lambda _: True)[0].number for _ in range(3)}
    assert found == {0, 1, 2}


def test_workers_end_with_the_executor():
    executor = ProcessesExecutor(Work(make_evaluate(TABLE)), 1)
    pid = run_trials(executor, 0)[0].n_parameters
    executor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
def test_a_worker_ends_when_its_driver_is_killed(tmp_path):
    """It notices at its next message, or while it waits for one."""
    executor = ProcessesExecutor(Work(make_evaluate(TABLE)), 1)
    pid = run_trials(executor, 0)[0].n_parameters
    worker = executor._workers[0]
    worker.connection.close()
    for _ in range(100):
        if worker._process.poll() is not None:
            break
        time.sleep(0.1)
    assert worker._process.poll() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    executor.close()


def test_an_experiment_that_cannot_be_pickled_is_an_error():
    lock = threading.Lock()

    def evaluate(trial, report):
        with lock:
            return TrialResult(TrialState.COMPLETE)

    with pytest.raises(ExperimentError, match=r"cannot be sent .*or use jobs=1"):
        ProcessesExecutor(Work(evaluate), 2)


numbers = arrays_of.arrays(
    st.sampled_from([np.float32, np.int64, np.bool_]),
    arrays_of.array_shapes(max_dims=3, max_side=30),
)


@given(st.lists(numbers, max_size=4))
def test_a_serialized_object_is_restored(tmp_path_factory, arrays):
    content = {"arrays": arrays, "name": "a", "function": lambda x: x + len(arrays)}
    found = deserialize(serialize(content, tmp_path_factory.mktemp("serialize")))
    assert found["name"] == "a"
    assert found["function"](1) == 1 + len(arrays)
    assert len(found["arrays"]) == len(arrays)
    for before, after in zip(arrays, found["arrays"], strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def make_shared():
    """Return work on two parts of a trial; its score is the number of workers."""

    def evaluate(trial, report, workers=()):
        pids = [os.getpid(), *(worker.recv() for worker in workers)]
        if trial.number == DEADLY and workers:
            try:
                workers[0].recv()
            except EOFError:
                return worker_died("the follower is gone")
        return TrialResult(TrialState.COMPLETE, score=float(len(set(pids))))

    def help_(trial, part, n_parts, leader):
        leader.send(os.getpid())
        if trial.number == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)

    return Work(evaluate, help_, most_parts=2)


@pytest.mark.slow
def test_workers_share_a_trial_where_there_are_fewer_trials_than_workers():
    executor = ProcessesExecutor(make_shared(), 2)
    assert run_trials(executor, 0)[0].score == 2
    assert [result.score for result in run_trials(executor, 1, 2).values()] == [1, 1]
    died = run_trials(executor, DEADLY)[DEADLY]
    assert died.failure.kind == "WorkerDied"
    assert run_trials(executor, 3)[3].score == 2  # the dead follower was replaced
    executor.close()
