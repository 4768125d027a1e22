"""The way of a search from the command to the training, without any training."""

import json
import os
import traceback
from pathlib import Path

import numpy as np
import pytest
from no_training import ScoredModel, without_training

import ktune
from ktune.cli.main import main
from ktune.errors import KtuneError
from ktune.listener import Listener
from ktune.testing.fakes import FakeTraining
from ktune.tracking import names
from ktune.tracking.reader import list_trials, read_trial, read_values
from ktune.tuner import search as search_module

PACKAGE = str(Path(ktune.__file__).parent)
MOST_CALLS = 10
CALLS_OF_TRAINER = 3
"""From the graph trainer's ``run_epoch`` to the compiled epoch."""

FILE = """
import numpy as np
import ktune
from no_training import ScoredModel

experiment = ktune.Experiment(
    name="tiny",
    data=(np.zeros((60, 3)) + np.arange(60)[:, None], np.arange(60) % 2),
    build=lambda hp: ScoredModel(0.5 + hp.Float("skill", 0.2, 0.4)),
    fit={"epochs": 1}, cv=2, sampler="random", trials=1,
)
"""


def experiment(build, **fields):
    x = np.random.default_rng(0).normal(size=(60, 3))
    settings = {"cv": 2, "sampler": "random", "fit": {"epochs": 1}, **fields}
    return ktune.Experiment(
        name="flow", data=(x, np.arange(60) % 2), build=build, **settings
    )


def texts_and_numbers(hp):
    """Declare values whose texts look like values of other types."""
    hp.Choice("k", ["3", "None"])
    hp.Choice("number", [3])
    hp.Boolean("is_on")
    return ScoredModel(0.6 + hp.Float("a b/ü", 0.1, 0.3))


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A search over texts that look like other values."""
    folder = tmp_path_factory.mktemp("texts")
    with without_training():
        return ktune.search(
            experiment(texts_and_numbers, seed=1),
            tracking_uri=f"sqlite:///{folder}/mlruns/mlflow.db",
            listener=Listener(),
            trials=5,
        )


@pytest.fixture
def as_by_an_earlier_version(texts):
    """The trials of the search without the tag that holds their values."""
    for run in texts.trial_runs:
        run.tags.pop(names.VALUES)
    yield texts.trial_runs
    del texts.trial_runs


def test_values_come_back_as_proposed(texts):
    assert set(texts.trials["k"]) == {"3", "None"}
    assert texts.trials["number"].tolist() == [3] * 5
    assert set(texts.trials["is_on"]) <= {True, False}
    records = [read_trial(texts.store, run)[0] for run in texts.trial_runs]
    exact = {trial.number: trial.values["a b/ü"] for trial in records}
    assert texts.trials["a b/ü"].tolist() == [exact[number] for number in range(5)]
    assert texts.best.values["k"] in ("3", "None")


def test_values_keep_their_types_in_json(texts, capsys):
    uri = texts.store.location.uri
    for words in (["show", texts.run_id], ["runs", texts.run_id]):
        assert main([*words, "--json", "--tracking-uri", uri]) == 0
        found = json.loads(capsys.readouterr().out)
        values = found["best"]["values"] if words[0] == "show" else found[0]
        assert values["k"] in ("3", "None")
        assert (values["number"], values["is_on"] in (True, False)) == (3, True)


def test_values_are_listed_without_reading_a_file_of_each_trial(texts, monkeypatch):
    monkeypatch.setattr("ktune.tracking.reader.read_run_file", None)
    for run in list_trials(texts.store, texts.view):
        assert isinstance(read_values(texts.store, run)["k"], str)


def test_stores_of_earlier_versions_have_the_values_in_a_file(
    texts, as_by_an_earlier_version
):
    found = [read_values(texts.store, run) for run in as_by_an_earlier_version]
    assert {values["k"] for values in found} == {"3", "None"}
    assert {type(values["number"]) for values in found} == {int}


def test_values_too_long_for_a_tag_are_read_from_the_file(tmp_path):
    long = "x" * 6000
    with without_training():
        result = ktune.search(
            experiment(lambda hp: hp.Choice("text", [long]) and ScoredModel(0.8)),
            tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
            listener=Listener(),
            trials=1,
        )
    assert names.VALUES not in result.trial_runs[0].tags
    assert result.trials["text"].tolist() == [long]


def test_a_builder_that_changes_the_working_folder_does_not_move_the_store(
    tmp_path, monkeypatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def build(hp):
        os.chdir(tmp_path / "elsewhere")
        return ScoredModel(0.5 + hp.Float("skill", 0.2, 0.4))

    with without_training():
        ktune.search(experiment(build), listener=Listener(), trials=1)
    assert (tmp_path / "mlruns" / "mlflow.db").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_search_opens_its_store_once_and_not_before_the_pre_flight(
    tmp_path, monkeypatch
):
    opened = []
    open_at = search_module.open_at
    monkeypatch.setattr(
        search_module, "open_at", lambda *a, **k: opened.append(k) or open_at(*a, **k)
    )
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    quiet = {"tracking_uri": uri, "listener": Listener(), "trials": 1}
    with without_training():
        with pytest.raises(KtuneError, match="division by zero"):
            ktune.search(experiment(lambda hp: 1 / 0), **quiet)
        assert (opened, list(tmp_path.iterdir())) == ([], [])
        good = experiment(lambda hp: ScoredModel(0.5 + hp.Float("skill", 0.2, 0.4)))
        ktune.search(good, **quiet)
        ktune.search(good, **quiet, resume=True)
    assert len(opened) == 2


def test_few_calls_lie_between_the_command_and_the_training(tmp_path, monkeypatch):
    (tmp_path / "tiny.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    stacks = []

    class Watched(FakeTraining):
        def run_epoch(self):
            stacks.append(traceback.extract_stack())
            return super().run_epoch()

    monkeypatch.setattr("ktune.testing.fakes.FakeTraining", Watched)
    with without_training():
        assert main(["search", "tiny.py", "-q"]) == 0
    frames = [f for f in stacks[0] if f.filename.startswith(PACKAGE)]
    called = [f"{Path(f.filename).stem}.{f.name}" for f in frames]
    way = called[called.index("search.run") :]
    # `run` is where counting begins; the frame of `run_epoch` is the watcher's.
    assert len(way) - 1 + CALLS_OF_TRAINER <= MOST_CALLS, way
