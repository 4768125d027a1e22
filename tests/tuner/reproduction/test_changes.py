from types import SimpleNamespace

import pytest

from ktune.experiment.environment import read_environment
from ktune.tuner.reproduction.changes import changes_of_environment, find_changes


@pytest.fixture
def environment():
    return read_environment().as_dict()


def told(changes):
    return [change.message for change in changes]


def test_the_same_environment_has_not_changed(environment):
    assert changes_of_environment(environment, environment) == []


def test_versions_machine_and_variables_are_named(environment):
    before = {
        **environment,
        "python": "2.7",
        "processor": "abacus",
        "packages": {**environment["packages"], "keras": "0.1"},
        "variables": {**environment["variables"], "OMP_NUM_THREADS": "77"},
        "backend": {**environment["backend"], "devices": ["GPU:0"]},
    }
    found = changes_of_environment(before, environment)
    subjects = {change.subject for change in found}
    assert subjects == {"package", "machine", "variable", "backend"}
    assert any(text.startswith("keras was 0.1, is ") for text in told(found))
    assert any(text.startswith("python was 2.7, is ") for text in told(found))
    assert any("OMP_NUM_THREADS was 77" in text for text in told(found))


def test_packages_results_do_not_depend_on_are_counted(environment):
    packages = {**environment["packages"], "left-pad": "1.0"}
    found = changes_of_environment({**environment, "packages": packages}, environment)
    assert told(found) == ["1 other packages differ: left-pad"]
    assert not found[0].matters


@pytest.fixture
def recorded(tmp_path, environment):
    """A search of one file that stands unchanged in ``tmp_path``."""
    (tmp_path / "main.py").write_text("x = 1\n")
    return SimpleNamespace(
        sources={"main.py": b"x = 1\n"},
        entry={"file": "main.py", "paths": {"main.py": str(tmp_path / "main.py")}},
        environment=environment,
        data_digest="abc",
        left_out=(),
    )


def rebuilt(digest="abc", *, fits=True):
    return SimpleNamespace(
        is_same_data=digest == "abc",
        has_recorded_folds=fits,
        dataset=SimpleNamespace(digest=digest, n_rows=9),
    )


def changes(recorded, rebuilt):
    return find_changes(recorded, rebuilt, read_environment())


def test_an_unchanged_working_copy_is_not_mentioned(recorded):
    assert changes(recorded, rebuilt()) == []


def test_a_changed_file_is_shown_and_does_not_matter(recorded, tmp_path):
    (tmp_path / "main.py").write_text("x = 1\ny = 2\n")
    (change,) = changes(recorded, rebuilt())
    assert change.message == "main.py has changed since: +1 −0 lines"
    assert "+y = 2" in change.detail
    assert not change.matters


def test_a_missing_file_is_a_change(recorded, tmp_path):
    (tmp_path / "main.py").unlink()
    (change,) = changes(recorded, rebuilt())
    assert "main.py is gone" in change.message


def test_other_data_are_a_change_of_the_digest(recorded):
    (change,) = changes(recorded, rebuilt("xyz"))
    assert change.message == "digest was abc, is xyz"
    assert change.matters


def test_folds_that_do_not_match_the_data_are_a_change(recorded):
    subjects = [c.subject for c in changes(recorded, rebuilt("xyz", fits=False))]
    assert subjects == ["data", "folds"]
