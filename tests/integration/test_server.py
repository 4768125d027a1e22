"""Searches in the store of a real MLflow server, which is killed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from mlflow_server import ServerHouse, TrackingServer
from postgres import PASSWORD, running_postgres
from sklearn.datasets import load_breast_cancer

from ktune.cli.main import main
from ktune.tuner.progress import PlainListener

pytestmark = pytest.mark.slow

LONG = bool(os.environ.get("KTUNE_LONG_TESTS"))

EXPERIMENT = """
import keras
from keras import layers

import ktune


def build(hp):
    model = keras.Sequential([layers.Input((30,)), layers.Dense(1, "sigmoid")])
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), loss="binary_crossentropy")
    return model


experiment = ktune.Experiment(
    name="small",
    data=ktune.data.breast_cancer(),
    build=build,
    fit={"batch_size": 64, "epochs": 2},
    cv=2,
    trials=5,
    sampler="random",
)
"""


@pytest.fixture(scope="module")
def house() -> Iterator[ServerHouse]:
    with ServerHouse() as house:
        yield house


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a new folder with the experiment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(EXPERIMENT)
    return tmp_path


@pytest.fixture
def server(
    house: ServerHouse,
    project: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> TrackingServer:
    """A server with a SQLite database, named by MLFLOW_TRACKING_URI."""
    database = shutil.copy(empty_store, project / "server.db")
    server = TrackingServer(house, project, f"sqlite:///{database}")
    server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    return server


@pytest.fixture
def after_trial(monkeypatch: pytest.MonkeyPatch) -> dict[int, object]:
    """What to do when a trial is over, by its number."""
    actions: dict[int, object] = {}
    plain = PlainListener.on_trial_end

    def on_trial_end(self, trial, result):
        plain(self, trial, result)
        if trial.number in actions:
            actions[trial.number]()

    monkeypatch.setattr(PlainListener, "on_trial_end", on_trial_end)
    return actions


def searches(uri: str) -> list[SimpleNamespace]:
    """Return the records from MLflow's own client, oldest search first."""
    client = MlflowClient(uri, uri)
    (experiment,) = client.search_experiments(filter_string="name = 'small'")
    runs = client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return [
        SimpleNamespace(
            run=parent,
            client=client,
            trials=[
                run
                for run in runs
                if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
                and run.data.tags["ktune.state"] != "interrupted"
            ],
        )
        for parent in parents
    ]


def assert_whole(search: SimpleNamespace, n_trials: int) -> None:
    """Check that every trial stands there once, with curves and files."""
    trials = sorted(search.trials, key=lambda run: int(run.data.tags["ktune.trial"]))
    numbers = [int(run.data.tags["ktune.trial"]) for run in trials]
    assert numbers == list(range(n_trials))
    for run in trials:
        run_id = run.info.run_id
        curve = search.client.get_metric_history(run_id, "epoch_val_loss")
        assert run.info.status == "FINISHED"
        assert sorted(point.step for point in curve) == [0, 1]
        files = {file.path for file in search.client.list_artifacts(run_id)}
        assert {"trial.json", "out_of_fold.npz", "diagnosis.json"} <= files


def scores(search: SimpleNamespace) -> dict[str, float]:
    return {
        run.data.tags["ktune.trial"]: run.data.metrics["val_accuracy"]
        for run in search.trials
    }


def test_a_search_outlives_its_server(server, after_trial, capsys):
    """Killed and restarted in mid-search, then killed for longer than the search."""
    after_trial.update({0: server.kill, 2: server.start})
    assert main(["search", "small.py"]) == 0
    told = capsys.readouterr().err
    assert told.count("is unavailable (Connection refused). The search continues") == 1
    assert told.count("is back; 2 queued records written") == 1
    (first,) = searches(server.uri)
    assert_whole(first, 5)
    assert first.run.info.status == "FINISHED"

    after_trial.clear()
    after_trial[3] = server.kill
    assert main(["search", "small.py"]) == 2
    out, told = capsys.readouterr()
    assert "Traceback" not in told
    assert (
        "2 records are queued here, so nothing is lost" in told
    )  # a trial, and the end
    command = told.rpartition("makes the report: ")[2].partition(" (")[0].split()
    assert main(["sync"]) == 2
    assert "2 records (1 trial) queued for http" in capsys.readouterr().out
    assert len(list(Path("mlruns/waiting").glob("*.jsonl"))) == 1

    server.start()
    assert main(["sync", "--json"]) == 0
    (synced,) = json.loads(capsys.readouterr().out)
    assert (synced["records"], synced["trials"], synced["written"]) == (2, 1, True)
    assert main(["sync"]) == 0
    assert capsys.readouterr().out == "No records are queued.\n"
    _, second = searches(server.uri)
    assert_whole(second, 5)
    assert second.run.info.status == "KILLED"
    assert (
        second.run.data.tags["ktune.ended_because"]
        == "the MLflow server is unavailable"
    )
    assert scores(second) == scores(first)

    assert command[:2] == ["ktune", "search"]
    assert main(command[1:]) == 0
    _, second = searches(server.uri)
    assert_whole(second, 5)
    assert second.run.info.status == "FINISHED"
    assert second.run.data.metrics["test_accuracy"] > 0.9
    assert second.run.data.tags["ktune.model_version"] == "small/2"


@pytest.mark.skipif(not LONG, reason="takes a minute: KTUNE_LONG_TESTS=1")
def test_a_search_that_is_killed_while_its_server_is_away_loses_nothing(server, capsys):
    words = [sys.executable, "-m", "ktune", "search", "small.py", "--trials", "99"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("trial   1 "):
                server.kill()
            if line.startswith("trial   4 "):
                process.kill()
                break
    server.start()
    (search,) = searches(server.uri)
    n_before = len(search.trials)
    assert main(["sync"]) == 0
    assert "written" in capsys.readouterr().out
    (search,) = searches(server.uri)
    n_trials = len(search.trials)
    assert n_trials >= max(5, n_before + 2)
    assert_whole(search, n_trials)
    more = ["--resume", "--trials", str(n_trials + 2)]
    assert main(["search", "small.py", *more]) == 0
    (search,) = searches(server.uri)
    assert_whole(search, n_trials + 2)


@pytest.fixture
def on_postgres(house: ServerHouse, project: Path, monkeypatch: pytest.MonkeyPatch):
    """A server with a PostgreSQL database, named by MLFLOW_TRACKING_URI."""
    with running_postgres() as backend:
        server = TrackingServer(house, project, backend)
        server.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        yield server
        server.kill()


VERBS = [
    "runs",
    "runs small --json",
    "show best",
    "report -o report.html",
    "compare best small --json",
    "reproduce --json",
    "promote --json",
    "predict small rows.csv",
    "ui",
]
if LONG:
    VERBS.append("export small --to keras -o exported")


def test_every_verb_works_with_a_server_on_postgresql(on_postgres, capsys):
    assert main(["search", "small.py", "--trials", "3"]) == 0
    assert "registered: model 'small' version 1" in capsys.readouterr().out.lower()
    (search,) = searches(on_postgres.uri)
    assert_whole(search, 3)
    files = {f.path for f in search.client.list_artifacts(search.run.info.run_id)}
    assert {"report.html", "folds.npz", "source"} <= files
    rows = load_breast_cancer(as_frame=True).data.head(3)
    rows.to_csv("rows.csv", index=False)
    for verb in VERBS:
        assert main(verb.split()) == 0, verb
    out, err = capsys.readouterr()
    assert PASSWORD not in out + err
