"""A search that was interrupted goes on as if nothing had happened."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import mlflow
import optuna
import pandas as pd
import pytest
from no_training import without_refit, without_report
from tiny_experiment import FILE

from ktune.cli.main import main
from ktune.cli.summary import print_search
from ktune.errors import ExperimentError, SpaceError, StoreError, UnknownReference
from ktune.evaluation.recorded import read_recorded
from ktune.experiment.loading import load_experiment
from ktune.listener import Listener
from ktune.tracking.search_logger import SearchLogger
from ktune.tuner.search import search
from ktune.utils.file_lock import driving, is_driven


class Notes(Listener):
    def __init__(self):
        self.notes = []

    def on_note(self, text):
        self.notes.append(text)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Searches in a folder of its own."""
    (tmp_path / "tiny.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(folder=tmp_path, listener=None, **given):
        with without_report():
            return search(
                load_experiment(str(tmp_path / "tiny.py")),
                tracking_uri=f"sqlite:///{folder}/mlruns/mlflow.db",
                listener=listener or Listener(),
                **given,
            )

    return run


def outcome(result):
    frame = result.trials
    columns = ["trial", "state", "units", "rate", "val_accuracy", "val_loss"]
    return frame[columns].to_dict("records")


def finished_trials(database):
    try:
        # Read only: asked too early it must not make the file.
        address = f"file:{database}?mode=ro"
        with closing(sqlite3.connect(address, timeout=5, uri=True)) as connection:
            query = "SELECT COUNT(*) FROM runs WHERE status = 'FINISHED'"
            return connection.execute(query).fetchone()[0]
    except sqlite3.Error:
        return 0


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("KTUNE_LONG_TESTS"),
    reason="with real training; test_kills.py does without: KTUNE_LONG_TESTS=1",
)
def test_a_killed_search_equals_the_undisturbed_one_trial_by_trial(tiny, tmp_path):
    database = tmp_path / "mlruns" / "mlflow.db"
    words = ["-m", "ktune", "search", "tiny.py", "-q", "-S", "fit.epochs=3"]
    process = subprocess.Popen(
        [sys.executable, *words], env={**os.environ, "PAUSE": "0.3"}
    )
    while finished_trials(database) < 2 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    resumed = tiny(resume=True)  # with the options it was started with
    undisturbed = tiny(tmp_path / "other", **{"fit.epochs": 3})
    found, wanted = pd.DataFrame(outcome(resumed)), pd.DataFrame(outcome(undisturbed))
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    assert resumed.view.status == "FINISHED"
    assert len(resumed.trials) == 5
    client = mlflow.MlflowClient(f"sqlite:///{database}")
    states = {
        run.info.status for run in client.search_runs([resumed.view.experiment_id])
    }
    assert "RUNNING" not in states


def test_an_interrupted_search_is_pointed_out_and_goes_on(
    tiny, tmp_path, monkeypatch, capsys
):
    track = SearchLogger.track

    def track_and_die(self, trial, result, *given):
        track(self, trial, result, *given)
        if trial.number == 1:  # recorded, but the searcher is never told
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SearchLogger, "track", track_and_die)
        first = tiny(trials=3)
    assert first.outcome.is_interrupted
    assert first.view.status == "KILLED"
    print_search(first, sys.stdout)
    assert "Not yet measured on the 114 untouched rows" in capsys.readouterr().out
    before = outcome(first)
    with pytest.raises(ExperimentError, match=r"seed was 0, is 1.*Set them back"):
        tiny(resume=first.run_id, seed=1)
    with pytest.raises(ExperimentError, match="rows of .* differ"):
        tiny(resume=first.run_id[:8], cv=3)

    (tmp_path / "tiny.py").write_text(FILE + "# changed since")
    resumed = tiny(resume=first.run_id[:8])
    assert resumed.run_id == first.run_id
    sources = {n: read_recorded(resumed.store, resumed.view, n).sources for n in (1, 2)}
    assert sources[1] == {"tiny.py": FILE.encode()}
    assert sources[2] == {"tiny.py": FILE.encode() + b"# changed since"}
    assert list(resumed.trials["trial"]) == [0, 1, 2]
    assert outcome(resumed)[:2] == before
    journal = tmp_path / "mlruns" / "studies" / f"{first.run_id}.log"
    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    study = optuna.load_study(
        study_name=None, storage=optuna.storages.JournalStorage(backend)
    )
    told = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert [t.user_attrs["ktune.number"] for t in told] == [0, 1, 2]
    assert resumed.registration is not None


def test_the_next_plain_search_points_out_an_interrupted_one(tiny, monkeypatch):
    def die(self, *given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SearchLogger, "track", die)
        first = tiny(trials=1)
    notes = Notes()
    with without_refit():
        second = tiny(trials=1, listener=notes)
        assert f"--resume {first.run_id[:8]}" in notes.notes[0]
        warm = tiny(trials=2, warm_start=second.run_id, start_from=[{"units": 7}])
    assert list(warm.trials["units"])[1] == 7


def test_there_must_be_something_to_resume(tiny):
    with pytest.raises((UnknownReference, StoreError)):
        tiny(resume=True)


def test_unknown_start_values_are_answered_with_the_nearest(tiny, tmp_path):
    with pytest.raises(SpaceError, match="Did you mean 'units'"):
        tiny(start_from=[{"unitz": 3}])
    with pytest.raises(SpaceError, match="cannot be 1000"):
        tiny(start_from=[{"units": 1000}])
    assert not (tmp_path / "mlruns").exists()


def test_values_to_enqueue_must_be_json(tiny, tmp_path, capsys):
    (tmp_path / "values.json").write_text("{units: 3}")
    words = ["search", "tiny.py", "-q", "--enqueue", "values.json"]
    assert main(words) == 2
    assert "--enqueue values.json" in capsys.readouterr().err


def test_a_search_has_one_driver(tmp_path):
    journal = tmp_path / "study.log"
    assert not is_driven(journal)
    with driving(journal):
        assert is_driven(journal)
        with pytest.raises(StoreError, match="still running"), driving(journal):
            pass
    assert not is_driven(journal)
