import json
import subprocess
import sys

import pytest

from ktune.experiment.environment import (
    RECORDED_VARIABLES,
    read_environment,
    read_git_state,
)


def test_no_variable_outside_the_fixed_list_is_recorded(monkeypatch):
    secret = "pa55word-of-the-database"
    for name in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "KTUNE_TOKEN"):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    environment = read_environment()
    assert environment.variables["OMP_NUM_THREADS"] == "3"
    assert set(environment.variables) <= set(RECORDED_VARIABLES)
    assert secret not in json.dumps(environment.as_dict())


def test_variables_that_are_not_set_are_not_recorded(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "CUDA_VISIBLE_DEVICES" not in read_environment().variables


def test_versions_are_those_installed():
    environment = read_environment()
    assert environment.packages["numpy"] == sys.modules["numpy"].__version__
    assert f"numpy=={environment.packages['numpy']}\n" in environment.requirements()
    assert {"keras", "optuna"} <= set(environment.packages)
    assert environment.cpus >= 1


def test_requirements_are_sorted_and_one_a_line():
    lines = read_environment().requirements().splitlines()
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])
    assert all(line.count("==") == 1 for line in lines)


def git(folder, *arguments):
    user = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", folder, *user, *arguments], check=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-qm", "Start")
    return tmp_path


def test_a_clean_repository_has_a_commit_and_no_difference(repository):
    state = read_git_state(repository)
    assert len(state["commit"]) == 40
    assert state["diff"] == ""


def test_what_is_not_committed_is_kept_as_a_patch(repository):
    (repository / "a.py").write_text("x = 2\n")
    patch = read_git_state(repository)["diff"]
    assert "-x = 1\n+x = 2\n" in patch


def test_a_patch_is_plain_whatever_the_user_has_configured(repository):
    git(repository, "config", "color.ui", "always")
    git(repository, "config", "diff.external", "echo external")
    (repository / "a.py").write_text("x = 2\n")
    patch = read_git_state(repository)["diff"]
    (repository / "a.py").write_text("x = 1\n")
    (repository / "saved.patch").write_text(patch)
    git(repository, "apply", "saved.patch")
    assert (repository / "a.py").read_text() == "x = 2\n"


def test_outside_a_repository_there_is_nothing_to_tell(tmp_path):
    assert read_git_state(tmp_path) == {}


def test_a_repository_without_a_commit_has_nothing_to_tell(tmp_path):
    git(tmp_path, "init", "-q")
    assert read_git_state(tmp_path) == {}


def test_a_machine_without_git_is_no_problem(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert read_git_state(repository) == {}
