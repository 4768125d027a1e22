"""Promote trials of the small search, in a copy of its project."""

import json

import mlflow
import pytest
from projects import copy_project

from ktune.cli.main import main
from ktune.tracking.store import open_store


@pytest.fixture
def client(small_search, tmp_path, monkeypatch):
    folder = copy_project(small_search, tmp_path / "project")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = open_store().location.uri
    return mlflow.MlflowClient(uri, uri)


def run_of(small_search, state, *, is_best=False):
    """Return a trial of that state: the best one, or the worst."""
    frame = small_search.result.trials
    frame = frame[frame.state == state].sort_values("val_accuracy")
    return frame.iloc[-1 if is_best else 0].run_id


def champion_of(client):
    return int(client.get_model_version_by_alias("small", "champion").version)


def promoted(capsys, *words):
    assert main(["promote", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_trial_goes_all_the_way_and_back(client, small_search, capsys):
    """One test, for every step takes up where the one before has ended."""
    best = small_search.result.best.run_id
    again = promoted(capsys, best)
    assert (again["version"], again["is_move"]) == (1, False)

    worst = run_of(small_search, "complete")
    assert worst != best
    found = promoted(capsys, worst)
    assert (found["version"], found["alias"]) == (2, "challenger")
    assert found["is_new_version"]
    assert "114 test rows" in found["reason"]
    version = client.get_model_version("small", "2")
    assert version.tags["ktune.trial_run_id"] == worst
    assert "Status: challenger since" in version.description
    assert champion_of(client) == 1

    forced = promoted(capsys, worst, "--force")
    assert (forced["version"], forced["alias"]) == (2, "champion")
    assert forced["is_forced"]
    assert not forced["is_new_version"]

    back = promoted(capsys, "small", "--rollback")
    assert (back["version"], back["before"]) == (1, 2)
    assert champion_of(client) == 1
    moves = client.get_registered_model("small").tags
    told = [json.loads(moves[key])["how"] for key in sorted(moves) if ".move." in key]
    assert told == ["gate", "gate", "force", "rollback"]

    steadier = promoted(capsys, worst, "--n-refits", "2")
    assert (steadier["version"], steadier["alias"]) == (3, "challenger")
    card = client.get_model_version("small", "3").description
    assert "the mean of 2 refits of trial" in card

    assert main(["promote", "small", "--rollback"]) == 2
    assert "first champion" in capsys.readouterr().err


def test_no_refit_at_all_is_refused(client, capsys):
    assert main(["promote", "small", "--n-refits", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_a_trial_that_is_not_complete_is_refused(client, small_search, capsys):
    run = client.get_run(small_search.result.best.run_id)
    client.set_tag(run.info.run_id, "ktune.state", "pruned")
    assert main(["promote", run.info.run_id]) == 2
    assert "only a complete trial" in capsys.readouterr().err
