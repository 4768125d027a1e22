"""Trials of the small search run again, in this process and in fresh ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from projects import copy_project

import ktune
from ktune.cli.main import main
from ktune.errors import ExperimentError, UnknownReference
from ktune.evaluation.recorded import read_recorded, rebuild, recorded_partition
from ktune.tuner.reproduction.comparison import Sameness

pytestmark = pytest.mark.slow

IS_LONG = bool(os.environ.get("KTUNE_LONG_TESTS"))


@pytest.fixture
def moved(small_search, tmp_path, monkeypatch):
    """A copy of the project, whose local module has changed since the search."""
    folder = copy_project(small_search, tmp_path / "moved")
    (folder / "helper_of_experiment.py").write_text("UNITS = 5\n")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


def run_of(small_search, number):
    frame = small_search.result.trials
    return frame.set_index("trial").loc[number, "run_id"]


def test_a_search_is_reproduced_bit_by_bit_in_a_fresh_process(moved):
    done = subprocess.run(
        [sys.executable, "-m", "ktune", "reproduce", "small", "--json"],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sameness"] == "identical"
    names = {comparison["name"] for comparison in found["comparisons"]}
    assert {"val_accuracy", "test_accuracy", "outputs of small/1"} <= names


@pytest.mark.parametrize("number", [1, 2, 3] if IS_LONG else [2])
def test_every_trial_is_reproduced_though_others_ran_before(small_search, number):
    run_id = run_of(small_search, number)
    found = ktune.reproduce(run_id, tracking_uri=small_search.uri)
    assert found.sameness is Sameness.IDENTICAL, found.comparisons
    assert found.changes == ()


def test_the_recorded_source_is_run_whatever_the_working_copy_says(
    small_search, monkeypatch
):
    worker = small_search.folder / "helper_of_experiment.py"
    before = worker.read_text()
    worker.write_text("raise SystemExit\n")
    try:
        found = ktune.reproduce(run_of(small_search, 0), tracking_uri=small_search.uri)
    finally:
        worker.write_text(before)
    assert found.sameness is Sameness.IDENTICAL
    assert [change.subject for change in found.changes] == ["source"]


def test_a_different_result_has_exit_code_3(moved, small_search, capsys):
    run_id = run_of(small_search, 0)
    (file,) = Path("mlruns/artifacts").rglob(f"{run_id}/artifacts/trial.json")
    record = json.loads(file.read_text())
    record["trial"]["seed"] += 1
    file.write_text(json.dumps(record))
    assert main(["reproduce", run_id[:10]]) == 3
    out = capsys.readouterr().out
    assert "different" in out
    assert "do not depend on the seed" in out


def test_a_run_that_does_not_exist_is_the_users_mistake(in_folder, capsys):
    assert main(["reproduce", "smal"]) == 2
    assert "Did you mean 'small'?" in capsys.readouterr().err
    with pytest.raises(UnknownReference):
        ktune.reproduce("smal")


def test_a_negative_tolerance_is_refused(in_folder, capsys):
    assert main(["reproduce", "small", "--tolerance", "-1"]) == 2
    assert "at least 0" in capsys.readouterr().err


@pytest.fixture
def recorded(small_search):
    return read_recorded(small_search.result.store, small_search.result.view)


def test_recorded_folds_are_taken_over_as_they_were(recorded):
    with rebuild(recorded) as rebuilt:
        folds = rebuilt.context.partition.folds
        assert rebuilt.is_same_data
        for fold in folds:
            name = f"validation{fold.index}"
            np.testing.assert_array_equal(fold.validation, recorded.folds[name])


def test_rows_of_other_data_are_not_forced_into_recorded_folds(recorded):
    with rebuild(recorded) as rebuilt:
        fewer = {**recorded.folds, "rows": recorded.folds["rows"][1:]}
        assert recorded_partition(fewer, rebuilt.dataset) is None


def test_a_search_from_python_says_that_it_needs_the_experiment(recorded):
    from dataclasses import replace

    with (
        pytest.raises(ExperimentError, match="started from Python"),
        rebuild(replace(recorded, sources={}, entry={})),
    ):
        pass


def test_loaded_modules_are_the_same_as_before(small_search, recorded):
    before = sys.modules.get("helper_of_experiment")
    path = list(sys.path)
    with rebuild(recorded):
        assert sys.modules["helper_of_experiment"] is not before
    assert sys.modules.get("helper_of_experiment") is before
    assert sys.path == path


def test_no_secret_of_the_environment_is_in_anything_written(small_search):
    """Grep all a search leaves behind: database, artifacts, study."""
    files = [p for p in (small_search.folder / "mlruns").rglob("*") if p.is_file()]
    assert {"environment.json", "mlflow.db", "model.keras"} <= {p.name for p in files}
    secret = small_search.secret.encode()
    assert not [path for path in files if secret in path.read_bytes()]
