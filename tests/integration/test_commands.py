"""The commands, as a user types them."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from ktune.cli.main import VERBS, main
from ktune.tracking.records import RunRecord
from ktune.tracking.waiting import Owner, PendingJournal, PendingRecord

HEAVY = ("tensorflow", "mlflow", "optuna", "keras_tuner", "sklearn", "pandas", "numpy")


def run_command(*words, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "ktune", *words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )


def require_not_loaded(commands, heavy):
    """Run commands in a fresh process, which may not load some modules."""
    code = (
        "import sys\n"
        "from ktune.cli.main import main\n"
        f"for words in {commands!r}:\n"
        "    try:\n        code = main(words)\n"
        "    except SystemExit as end:\n        code = end.code\n"
        "    assert code == 0, (words, code)\n"
        f"    loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "    assert not loaded, (words, loaded)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_imports_nothing_heavy():
    commands = [["--help"], *([verb, "--help"] for verb in VERBS)]
    out = require_not_loaded(commands, HEAVY)
    assert out.count("usage: ktune") == len(commands)


@pytest.mark.slow
def test_reading_a_search_back_waits_for_no_training_library(in_folder):
    heavy = ("tensorflow", "keras", "optuna", "sklearn", "scipy.stats")
    require_not_loaded([["runs", "small"], ["show", "small"]], heavy)


def test_an_unknown_verb_is_answered_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as end:
        main(["serach", "x.py"])
    assert end.value.code == 2
    assert "Did you mean 'search'?" in capsys.readouterr().err


def test_an_unknown_option_is_answered_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as end:
        main(["search", "x.py", "--trails", "3"])
    assert end.value.code == 2
    assert "Did you mean '--trials'?" in capsys.readouterr().err


def test_runs_lists_searches_and_trials(in_folder, capsys):
    assert main(["runs"]) == 0
    assert "small" in capsys.readouterr().out
    assert main(["runs", "small"]) == 0
    out = capsys.readouterr().out
    assert "accuracy" in out
    assert "learning_rate=" in out


def test_runs_as_json_has_every_trial(in_folder, capsys):
    assert main(["runs", "small", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["trial"] for row in rows] == [0, 1, 2, 3]


def test_show_prints_the_folds_of_the_best_trial(in_folder, capsys):
    assert main(["show", "best"]) == 0
    out = capsys.readouterr().out
    assert "fold 2" in out
    assert "recall" in out


def test_show_prints_test_scores_and_model_of_a_search(in_folder, capsys):
    assert main(["show", "small"]) == 0
    out = capsys.readouterr().out
    assert "114 untouched rows" in out
    assert "small@champion" in out
    assert "ktune runs" in out


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("smal", "Did you mean 'small'?"),
        ("ffff", "matches no run"),
        ("", "matches no run"),
    ],
)
def test_unknown_references_are_explained(in_folder, capsys, reference, told):
    code = main(["show", reference or "0123456789abcdef"])
    assert code == 2
    assert told in capsys.readouterr().err


def test_without_a_store_reading_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["runs"]) == 2
    assert "Run a search first" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_project_folder_can_be_moved(small_search, tmp_path, monkeypatch, capsys):
    moved = tmp_path / "elsewhere"
    shutil.copytree(small_search.folder, moved)
    monkeypatch.chdir(moved)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    hidden = small_search.folder.rename(small_search.folder.parent / "hidden")
    try:
        assert main(["show", "best"]) == 0
        assert "fold 2" in capsys.readouterr().out
        import ktune

        assert ktune.load("small").model.count_params() > 0
    finally:
        hidden.rename(small_search.folder)


def test_doctor_finds_nothing_broken_and_names_the_store(in_folder, capsys):
    journal = PendingJournal(
        in_folder / "mlruns", Owner("5ea4c4", "birds", "http://books")
    )
    journal.append(PendingRecord("5ea4c4", RunRecord("", "KILLED"), 0.0))
    assert main(["doctor"]) == 0
    journal.remove()
    out = capsys.readouterr().out
    assert "1 searches" in out
    assert "1 for http://books" in out
    assert "ktune sync" in out
    assert "tensorflow" in out
    assert "export onnx" in out
    assert 'pip install "ktune[ray]"' in out or "ray 2" in out


@pytest.mark.slow
def test_a_search_from_the_shell_is_quiet_and_ends_with_what_to_do(
    small_search, tmp_path
):
    for name in ("small.py", "helper_of_experiment.py"):
        shutil.copy(small_search.folder / name, tmp_path)
    done = run_command("search", "small.py", "--smoke", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Not registered: a smoke test" in done.stdout
    assert "ktune ui" in done.stdout
    for noise in ("oneDNN", "WARNING", "INFO", "Warning", "alembic"):
        assert noise not in done.stderr + done.stdout


def test_search_as_json_prints_one_document(
    small_search, tmp_path, monkeypatch, capsys
):
    for name in ("small.py", "helper_of_experiment.py"):
        shutil.copy(small_search.folder / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["search", "small.py", "--smoke", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert len(found["trials"]) == 2
    assert found["model"] is None  # a smoke test
    assert found["test"]["accuracy"]["low"] <= found["test"]["accuracy"]["high"]
    assert err == ""
