"""`ktune doctor` on stores that others could write to."""

import os

import pytest

from ktune.cli.health import CheckState, _safety


@pytest.fixture
def folder(store):
    """The folder of a store, with a folder for studies, all only the user's own."""
    own = store.location.folder
    (own / "studies").mkdir()
    for path in (own, *own.rglob("*")):
        path.chmod(0o755)
    return own


def warnings(folder):
    found = [c for c in _safety(folder / "mlflow.db") if c.subject == "store rights"]
    assert {check.state for check in found} <= {CheckState.WARNING}
    return {check.remedy for check in found}


def test_a_store_of_ones_own_is_safe(folder):
    assert warnings(folder) == set()


@pytest.mark.parametrize("name", [".", "mlflow.db", "studies"])
def test_a_store_that_everybody_can_write_to_is_warned_of(folder, name):
    path = folder / name
    path.chmod(path.stat().st_mode | 0o002)
    assert warnings(folder) == {f"chmod o-w {path}"}


def test_so_is_one_that_everybody_can_put_another_in_place_of(folder):
    os.chmod(folder.parent, 0o777)
    assert warnings(folder) == {f"chmod o-w {folder.parent}"}
    os.chmod(folder.parent, 0o1777)  # as /tmp is
    assert warnings(folder) == set()
