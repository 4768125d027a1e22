"""What may not change when a search is resumed, and what may and is told."""

import numpy as np
import pytest
from no_training import ScoredModel, without_training

import ktune
from ktune.errors import ExperimentError
from ktune.executors.serial import SerialExecutor
from ktune.listener import Listener

Y = np.arange(60) % 2


class Notes(Listener):
    def __init__(self):
        self.notes = []

    def on_note(self, text):
        self.notes.append(text)


class Stopping(Listener):
    """Presses Ctrl-C after the second trial."""

    def on_trial_end(self, trial, result):
        if trial.number == 1:
            raise KeyboardInterrupt


def build(hp):
    return ScoredModel(0.5 + hp.Float("skill", 0.0, 0.4))


def experiment(**changes):
    x = np.random.default_rng(0).normal(size=(60, 3))
    fields = {
        "data": (x, Y),
        "cv": 2,
        "trials": 4,
        "sampler": "random",
        "fit": {"epochs": 2, "early_stopping": False},
    }
    return ktune.Experiment(name="nothing", build=build, **{**fields, **changes})


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('project')}/mlruns/mlflow.db"


@pytest.fixture(scope="module")
def interrupted(uri):
    """Run id of a search that was stopped after two of four trials."""
    with without_training():
        found = ktune.search(experiment(), tracking_uri=uri, listener=Stopping())
    assert found.outcome.is_interrupted
    assert len(found.trials) == 2
    return found.run_id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": (np.zeros((60, 3)) + Y[:, None], Y)}, "data was .*, is "),
        ({"cv": 3}, "rows of .* differ"),
        ({"test_size": 0.3}, "rows of .* differ"),
        ({"objective": "f1"}, r"objective was accuracy \(max\), is f1"),
        ({"engine": "kerastuner", "sampler": "random"}, "engine was optuna, is keras"),
        ({"sampler": "tpe"}, "sampler was random, is tpe"),
        ({"pruner": "racing"}, "pruner was median, is racing"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"preprocess": None}, "preprocess was auto, is None"),
        ({"max_parameters": 9}, "max_parameters was None, is 9"),
    ],
)
def test_what_trials_have_in_common_may_not_change(uri, interrupted, changes, message):
    with pytest.raises(ExperimentError, match=f"{message}.*Set them back"):
        ktune.search(
            experiment(**changes), tracking_uri=uri, listener=Notes(), resume=True
        )
    assert len(ktune.load(interrupted, tracking_uri=uri).trials) == 2


def test_allowed_changes_are_reported_in_a_line(uri, interrupted, monkeypatch):
    changes = {"trials": 3, "timeout": "1h", "trial_timeout": 60, "jobs": 2}
    notes = Notes()
    with without_training(), monkeypatch.context() as patch:
        # Other processes would train.
        patch.setattr(
            "ktune.tuner.driver.make_executor",
            lambda _, work: SerialExecutor(work.evaluate),
        )
        found = ktune.search(
            experiment(),
            tracking_uri=uri,
            listener=notes,
            resume=interrupted[:8],
            **changes,
        )
    assert len(found.trials) == 3
    assert notes.notes[0] == (
        f"search {interrupted[:8]} is resumed with other settings: trials was 4, is 3; "
        "timeout was None, is 1h; trial_timeout was None, is 60; jobs was None, is 2; "
        "executor was serial, is processes"
    )


def test_a_search_resumed_without_changes_reports_none(uri, interrupted):
    notes = Notes()
    with without_training():
        ktune.search(experiment(), tracking_uri=uri, listener=notes, resume=interrupted)
    assert notes.notes == []
