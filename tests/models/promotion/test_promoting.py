import contextlib
from types import SimpleNamespace

import pytest

from ktune.errors import ExperimentError
from ktune.models.promotion import promoting
from ktune.models.promotion.promoting import promote
from ktune.tracking.model_registry import Registration


@pytest.fixture
def opened(monkeypatch):
    """An opened trial of a search; ``search`` and ``trial_run`` can be changed."""
    found = SimpleNamespace(
        store=None,
        search=SimpleNamespace(
            run_id="0123456789", experiment="digits", is_smoke_test=False
        ),
        run=SimpleNamespace(is_search=False),
        trial_run=SimpleNamespace(run_id="abc", number=3, state="complete"),
    )
    monkeypatch.setattr(
        promoting, "open_search", lambda *_: contextlib.nullcontext(found)
    )
    return found


def test_a_trial_of_a_smoke_test_is_not_promoted(opened):
    opened.search.is_smoke_test = True
    with pytest.raises(ExperimentError, match="is a smoke test .* or add --force"):
        promote("abc")


def test_the_champion_stays_after_its_experiment_was_renamed(opened, monkeypatch):
    """The name of the version counts, not that of the MLflow experiment."""
    opened.search.experiment = "renamed"
    champion = Registration("digits", 1, "champion", "")
    monkeypatch.setattr(promoting, "version_of_trial", lambda *_: champion)
    monkeypatch.setattr(
        promoting,
        "find_champion",
        lambda store, name: champion if name == "digits" else None,
    )
    found = promote("abc")
    assert not found.is_move
    assert found.model == "digits"
