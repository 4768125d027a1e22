"""A store of version 0.1.0 stays usable: every command reads it or goes on with it.

`data_files/store-0.1.0.tar.xz` is the project folder of a finished search: database,
artifacts (without the report), study and experiment file. Its artifacts stood in a
folder that is not there any more.
"""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from projects import forget_artifacts
from sklearn.datasets import load_breast_cancer

import ktune
from ktune.cli.main import main
from ktune.tracking import names
from ktune.tracking.store import opened_store
from ktune.tuner.reproduction.comparison import Sameness, compare_numbers
from ktune.tuner.reproduction.reproducing import _ReproductionWork

pytestmark = pytest.mark.slow

ARCHIVE = Path(__file__).parents[1] / "data_files" / "store-0.1.0.tar.xz"
SEARCH = "5dee101c2e284474ab7eddc4aa520243"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old") / "project"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def project(unpacked, monkeypatch):
    """The folder with the store, for commands that only read it."""
    forget_artifacts()
    monkeypatch.chdir(unpacked)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return unpacked


@pytest.fixture
def copy(unpacked, tmp_path, monkeypatch):
    """A copy of the folder, for commands that write to the store."""
    folder = shutil.copytree(unpacked, tmp_path / "project")
    forget_artifacts()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


def answer(capsys, *words):
    """Return what a command prints with ``--json``."""
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_runs_and_show_read_trials_and_scores(project, capsys):
    assert [row["run_id"] for row in answer(capsys, "runs")] == [SEARCH]
    trials = answer(capsys, "runs", "breast_cancer")
    assert [row["trial"] for row in trials] == [0, 1, 2, 3, 4]
    assert {row["state"] for row in trials} == {"complete"}
    assert main(["show", "best"]) == 0
    assert "fold 4" in capsys.readouterr().out
    assert main(["show", "breast_cancer"]) == 0
    out = capsys.readouterr().out
    assert "tested once on 114 untouched" in out
    assert "breast_cancer@champion" in out


def test_the_python_interface_loads_trials_and_model(project):
    result = ktune.load("breast_cancer")
    assert len(result.trials) == 5
    assert result.best.values["units"] in [8, 10, 16, 32, 64]
    assert result.model.count_params() > 0


def test_report_and_compare_write_their_pages(project, tmp_path):
    report, comparison = tmp_path / "report.html", tmp_path / "comparison.html"
    assert main(["report", "breast_cancer", "-o", str(report)]) == 0
    assert "breast_cancer" in report.read_text()
    trials = list(ktune.load("breast_cancer").trials["run_id"][:2])
    assert main(["compare", *trials, "-o", str(comparison)]) == 0
    assert trials[0][:8] in comparison.read_text()


def test_predict_and_export_give_what_the_model_gives(project, tmp_path, capsys):
    table = load_breast_cancer(as_frame=True).data.iloc[:20]
    table.to_csv(tmp_path / "rows.csv", index=False)
    found = answer(capsys, "predict", "breast_cancer", str(tmp_path / "rows.csv"))
    assert [row["prediction"] for row in found["predictions"]][:3] == ["malignant"] * 3
    folder = tmp_path / "exported"
    assert main(["export", "breast_cancer", "--to", "keras", "-o", str(folder)]) == 0
    import keras

    exported = keras.models.load_model(folder / "breast_cancer.keras")
    outputs = exported.predict(table.to_numpy(np.float32), verbose=0)
    probabilities = [row["probability_benign"] for row in found["predictions"]]
    np.testing.assert_allclose(outputs[:, 0], probabilities, atol=1e-6)


def test_a_trial_is_reproduced(project):
    found = ktune.reproduce("breast_cancer")
    # Another machine or library may change the last bits, and ktune says so.
    is_elsewhere = {change.subject for change in found.changes} & {"machine", "package"}
    same = (
        {Sameness.IDENTICAL, Sameness.CLOSE} if is_elsewhere else {Sameness.IDENTICAL}
    )
    assert found.sameness in same, (found.comparisons, found.changes)


def test_another_trial_is_promoted_by_the_gate(copy, capsys):
    frame = ktune.load("breast_cancer").trials
    worst = frame[frame.state == "complete"].sort_values("val_roc_auc").iloc[0]
    found = answer(capsys, "promote", worst.run_id)
    assert (found["version"], found["alias"]) == (2, "challenger")


def test_the_search_goes_on(copy):
    before = ktune.load("breast_cancer").trials
    words = ["search", "experiments/tabular_binary.py", "-q", "--resume"]
    assert main([*words, "--trials", "6"]) == 0
    after = ktune.load("breast_cancer")
    assert after.run_id == SEARCH
    assert len(after.trials) == 6
    columns = ["trial", "state", "units", "layers", "learning_rate", "val_roc_auc"]
    kept = after.trials[after.trials.trial < 5][columns].sort_values("trial")
    assert kept.to_dict("list") == before[columns].sort_values("trial").to_dict("list")


def test_the_refit_of_another_trial_is_not_reproduced(copy, monkeypatch):
    """Its numbers would be compared with those of the trial that is best now."""
    same = compare_numbers("val_roc_auc", [0.5], [0.5], tolerance=1e-3)
    monkeypatch.setattr(_ReproductionWork, "run_again", lambda self, run: [same])
    with opened_store(None) as store:
        store.client.set_tag(SEARCH, names.BEST_RUN, "f" * 32)
    found = ktune.reproduce("breast_cancer")
    assert [row.name for row in found.comparisons] == ["val_roc_auc"]
    assert "refit" not in found.subject
    assert "its run is gone from MLflow" in found.note
