"""Trials in processes: the same results, shared data, deaths that cost one trial."""

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import ktune
from ktune.errors import ExperimentError
from ktune.executors.processes import ProcessesExecutor
from ktune.executors.shipment import ship, unpack
from ktune.loop import SilentListener
from ktune.testing.fakes import make_trial
from ktune.trial import EpochReport, TrialResult, TrialState


def make_evaluate(table):
    """Return an evaluation that reports three epochs, and dies of trial 13."""
    state = TrialState

    def evaluate(trial, report):
        if trial.number == 13:
            os.write(1, b"these are my last words")
            os.kill(os.getpid(), signal.SIGKILL)
        if trial.number == 7:
            return TrialResult(state.COMPLETE, score=float(os.getpid()))
        for epoch in range(3):
            if not report(EpochReport(trial.number, epoch, 3, epoch / 10)):
                return TrialResult(state.PRUNED, score=0.0, epochs=epoch + 1)
        assert not table.flags.writeable
        return TrialResult(state.COMPLETE, score=float(table.sum()), epochs=3)

    return evaluate


TABLE = np.arange(10_000.0)


@pytest.fixture(scope="module")
def executor():
    executor = ProcessesExecutor(make_evaluate(TABLE), 2)
    yield executor
    executor.close()


def run(executor, *numbers, report=lambda _: True):
    """Evaluate trials, at most two at a time; return results by number."""
    waiting, found = list(numbers), {}
    running = 0
    while waiting or running:
        while waiting and running < executor.n_workers:
            executor.submit(make_trial(waiting.pop(0)))
            running += 1
        trial, result = executor.wait(report)
        found[trial.number] = result
        running -= 1
    return found


def test_trials_are_evaluated_side_by_side_on_one_copy_of_the_data(executor):
    found = run(executor, 0, 1, 2, 3, 4)
    assert {result.score for result in found.values()} == {TABLE.sum()}
    pids = {run(executor, 7)[7].score}
    assert os.getpid() not in pids


def test_what_trials_report_can_stop_them(executor):
    seen = []

    def report(epoch):
        seen.append((epoch.trial_number, epoch.epoch))
        return not (epoch.trial_number == 1 and epoch.epoch == 1)

    found = run(executor, 0, 1, report=report)
    assert found[0].state is TrialState.COMPLETE
    assert (found[1].state, found[1].epochs) == (TrialState.PRUNED, 2)
    assert sorted(seen) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_a_worker_that_dies_costs_its_trial_only_and_is_replaced(executor):
    found = run(executor, 0, 13, 1, 2, 3)
    assert found.pop(13).failure.kind == "WorkerDied"
    assert all(result.state is TrialState.COMPLETE for result in found.values())
    again = run(executor, 13)[13]
    assert "SIGKILL" in again.failure.message
    assert "my last words" in again.failure.traceback


def test_a_worker_that_hangs_is_ended_and_replaced():
    def evaluate(trial, report):
        if trial.number == 1:
            time.sleep(600)
        return TrialResult(TrialState.COMPLETE, score=1.0)

    executor = ProcessesExecutor(evaluate, 1, trial_timeout=1.0)
    found = run(executor, 0, 1, 2)
    executor.close()
    assert found[1].failure.kind == "TrialTimeout"
    assert (found[0].score, found[2].score) == (1.0, 1.0)


def test_workers_end_with_the_executor():
    executor = ProcessesExecutor(make_evaluate(TABLE), 1)
    executor.submit(make_trial(7))
    pid = int(executor.wait(lambda _: True)[1].score)
    executor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_worker_ends_when_its_driver_is_killed(tmp_path):
    """It notices at its next message, or while it waits for one."""
    executor = ProcessesExecutor(make_evaluate(TABLE), 1)
    executor.submit(make_trial(7))
    pid = int(executor.wait(lambda _: True)[1].score)
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


def test_what_cannot_be_sent_to_a_process_is_said():
    lock = threading.Lock()

    def evaluate(trial, report):
        with lock:
            return TrialResult(TrialState.COMPLETE)

    with pytest.raises(ExperimentError, match=r"cannot be sent .*or use jobs=1"):
        ProcessesExecutor(evaluate, 2)


numbers = arrays_of.arrays(
    st.sampled_from([np.float32, np.int64, np.bool_]),
    arrays_of.array_shapes(max_dims=3, max_side=30),
)


@given(st.lists(numbers, max_size=4))
def test_what_is_shipped_arrives_as_it_was(tmp_path_factory, arrays):
    content = {"arrays": arrays, "name": "a", "function": lambda x: x + len(arrays)}
    found = unpack(ship(content, tmp_path_factory.mktemp("ship")))
    assert found["name"] == "a"
    assert found["function"](1) == 1 + len(arrays)
    assert len(found["arrays"]) == len(arrays)
    for before, after in zip(arrays, found["arrays"], strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_a_search_finds_the_same_with_two_workers_as_with_one(tmp_path):
    def build(hp):
        import keras

        model = keras.Sequential()
        model.add(keras.layers.Dense(hp.Int("units", 4, 32), activation="relu"))
        model.add(keras.layers.Dropout(0.2))
        model.add(keras.layers.Dense(1, activation="sigmoid"))
        rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
        model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
        return model

    found = {}
    for jobs in (1, 2):
        result = ktune.search(
            ktune.Experiment(
                name="small",
                data=ktune.data.breast_cancer(),
                build=build,
                fit={"epochs": 2, "batch_size": 64},
                cv=2,
                trials=5,
                sampler="random",
                pruner="none",
                jobs=jobs,
            ),
            tracking_uri=f"sqlite:///{tmp_path}/{jobs}/mlflow.db",
            listener=SilentListener(),
        )
        frame = result.trials.drop(columns=["seconds", "run_id"])
        found[jobs] = (frame, result.best.number, result.model.get_weights())
    # The number of threads a process has may show in the last bits.
    pd.testing.assert_frame_equal(found[1][0], found[2][0], rtol=1e-5)
    assert found[1][1] == found[2][1]
    for one, two in zip(found[1][2], found[2][2], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
