"""Trials on Ray: a cluster of this machine's own, started once for all tests here."""

import importlib
import os
import signal
import sys
import time

import pytest

from ktune.cli.main import main
from ktune.errors import ClusterLost, ExperimentError
from ktune.executors import connected, make_executor
from ktune.experiment.experiment import Experiment
from ktune.protocols import Work
from ktune.searchers.discovery import discover
from ktune.testing.executors import (
    TABLE,
    ExecutorContract,
    make_evaluate,
    run_trials,
)
from ktune.trial import EpochReport, TrialResult, TrialState

EXPERIMENT = {"name": "ray", "data": ([[0.0]], [0]), "build": print}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One with room for two trials of a whole CPU."""
    connected(Experiment(**EXPERIMENT, executor="ray"))  # chooses how Ray speaks
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else a token is left in the home
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=100 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
        )
        yield
        ray.shutdown()


def executor_of(evaluate, declare=None, **fields):
    experiment = Experiment(**EXPERIMENT, executor="ray", **fields)
    return make_executor(experiment, Work(evaluate, declare=declare))


@pytest.fixture(scope="module")
def executor():
    """Two workers; they leave one CPU to other tests."""
    executor = executor_of(make_evaluate(TABLE), jobs=2, cpus=0.5)
    yield executor
    executor.close()


class TestRay(ExecutorContract):
    """Its workers are actors of Ray."""


def make_eventful(flag):
    """Return an evaluation whose trials meet with one thing each, by their number."""

    def evaluate(trial, report):
        report(EpochReport(trial.number, 0, 2, 0.5))
        if trial.number == 1 and not flag.exists():  # its worker is lost, once
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if trial.number == 2:  # it hangs
            time.sleep(600)
        import a_local_module

        report(EpochReport(trial.number, 1, 2, 0.6))
        return TrialResult(TrialState.COMPLETE, score=a_local_module.answer())

    return evaluate


@pytest.fixture(scope="module")
def eventful(tmp_path_factory):
    """What came of trials 0, 1 and 2, and what they were heard to report."""
    folder = tmp_path_factory.mktemp("eventful")
    source = folder / "a_local_module.py"
    source.write_text("def answer():\n    return 42.0\n")
    heard = []
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.import_module("a_local_module")
        evaluate = make_eventful(folder / "flag")
        executor = executor_of(evaluate, jobs=1, trial_timeout=2.0)
        source.unlink()
        found = run_trials(
            executor, 0, 1, 2, report=lambda r: not heard.append(tuple_of(r))
        )
        executor.close()
        del sys.modules["a_local_module"]
    return found, heard


def tuple_of(report):
    return report.trial_number, report.epoch


def make_declare():
    """Return a builder; some of its values end or block the process."""

    def declare(hp):
        units = hp.Int("units", 1, 9)
        if units == 2:
            os._exit(1)
        if units == 3:
            time.sleep(600)
        hp.Choice("pid", [str(os.getpid())])

    return declare


@pytest.mark.slow
def test_a_builder_requests_values_in_a_worker_and_ends_there(monkeypatch):
    monkeypatch.setattr("ktune.executors.ray.MAX_DECLARATIONS", 1)
    executor = executor_of(
        make_evaluate(TABLE), make_declare(), jobs=1, trial_timeout=2.0
    )

    def found_for(units):
        found = {}

        def propose(key, parameter):
            found[key] = units if key == "units" else parameter.default
            return found[key]

        discover(executor.declare, propose, lambda parameter: parameter.name)
        return found

    assert found_for(2) == {"units": 2}
    assert found_for(3) == {"units": 3}
    found = found_for(1)
    assert list(found) == ["units", "pid"]
    assert found["pid"] != str(os.getpid())
    assert run_trials(executor, 0)[0].score == TABLE.sum()
    executor.close()


@pytest.mark.slow
def test_local_modules_travel_with_the_experiment(eventful):
    assert eventful[0][0].score == 42.0


def test_a_trial_that_loses_its_worker_begins_again_and_is_heard_once(eventful):
    found, heard = eventful
    assert found[1].score == 42.0
    assert [epoch for number, epoch in heard if number == 1] == [0, 1]


def test_a_worker_that_hangs_is_ended(eventful):
    assert eventful[0][2].failure.kind == "TrialTimeout"


def test_there_are_as_many_workers_as_there_is_room_for():
    executor = executor_of(make_evaluate(TABLE))
    assert executor.n_workers == 2
    executor.close()


def test_workers_that_cannot_start_end_the_search(tmp_path, monkeypatch):
    """Here: a module that is installed on this machine only."""
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "only_here.py").write_text("LIMIT = 1.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    only_here = importlib.import_module("only_here")

    def evaluate(trial, report):
        return TrialResult(TrialState.COMPLETE, score=only_here.LIMIT)

    executor = executor_of(evaluate, jobs=1)
    with pytest.raises(ExperimentError, match=r"(?s)cannot start.*only_here.*Install"):
        run_trials(executor, 0)
    executor.close()
    del sys.modules["only_here"]


def test_a_search_ends_with_a_message_before_ray_ends_its_process(monkeypatch):
    executor = executor_of(make_evaluate(TABLE), jobs=1)
    with monkeypatch.context() as patch:
        patch.setattr("ktune.executors.ray_cluster.CHECK_SECONDS", 0.0)
        patch.setattr("ktune.executors.ray_cluster._refuses", lambda address: True)
        with pytest.raises(ClusterLost, match=r"agent on this machine .* has died"):
            run_trials(executor, *range(5))
    monkeypatch.setattr("ray.kill", None)  # as every call, it would end the process
    executor.close()


def test_a_cluster_without_room_for_a_trial_is_refused():
    with pytest.raises(ExperimentError, match=r"1000 CPUs .* There are: 2 CPUs"):
        executor_of(make_evaluate(TABLE), cpus=1000)


def test_without_the_package_its_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "ktune.executors.ray_cluster")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExperimentError, match=r'pip install "ktune\[ray\]"'):
        connected(Experiment(**EXPERIMENT, executor="ray"))


def test_an_address_without_a_listener_is_a_mistake_and_nothing_is_written(
    tmp_path, monkeypatch, capsys
):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cancer.py").write_text(FILE)
    address = "127.0.0.1:1"
    assert main(["search", "cancer.py", "--ray-address", address, "--cpus", "2"]) == 2
    assert f"there is no Ray cluster at {address!r}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["cancer.py"]


FILE = """
import keras
import ktune

def build(hp):
    model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model

experiment = ktune.Experiment(
    name="cancer", data=ktune.data.breast_cancer(), build=build, cv=2, trials=2
)
"""
