import pytest

from ktune.tracking.autologging import autologging_off, switch_off_autologging


@pytest.fixture
def autolog(tmp_path, monkeypatch):
    """MLflow's autologging of scikit-learn, switched off again afterwards."""
    import mlflow.sklearn

    monkeypatch.chdir(tmp_path)
    yield mlflow.sklearn.autolog
    mlflow.sklearn.autolog(disable=True, silent=True)


def is_on():
    from mlflow.utils.autologging_utils import autologging_is_disabled

    return not autologging_is_disabled("sklearn")


def test_autologging_is_off_in_the_block_and_as_before_afterwards(autolog):
    from mlflow.utils.autologging_utils import get_autologging_config

    autolog(max_tuning_runs=2, silent=True)
    notes = []
    with autologging_off(notes.append):
        assert not is_on()
    assert is_on()
    assert get_autologging_config("sklearn", "max_tuning_runs") == 2
    assert len(notes) == 1
    assert "mlflow.sklearn.autolog()" in notes[0]


def test_without_autologging_there_is_nothing_to_say(autolog):
    notes = []
    with autologging_off(notes.append):
        assert switch_off_autologging() == {}
    assert notes == []
    assert not is_on()
