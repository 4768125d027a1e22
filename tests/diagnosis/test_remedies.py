"""Remedies name the user's own parameters and the presets' options."""

import pytest

from ktune.data.dataset import Task
from ktune.diagnosis import Context, TrialView
from ktune.diagnosis.remedies import calm, regularise, strengthen
from ktune.metrics.objectives import make_objective
from ktune.trial import Trial, TrialResult, TrialState

CONTEXT = Context(make_objective("accuracy"), Task.MULTICLASS)


def trial(**values):
    return TrialView(
        Trial(0, values, 0), TrialResult(TrialState.COMPLETE, score=0.5), CONTEXT
    )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"dropout": 0.1}, "Raise `dropout` (now 0.1)"),
        ({"mlp/units_0": 256}, "lower `mlp/units_0` (now 256)"),
        ({"units": 8}, "dd dropout (`hp.Float('dropout', 0.0, 0.5)`)"),
        (
            {"filters": 16},
            "`ktune.spaces.cnn(augmentation=('crop', 'flip', 'rotation'))`",
        ),
        ({"filters": 16, "augment": False}, "augmentation (`augment`, now False)"),
    ],
)
def test_a_model_that_fits_too_closely_is_held_back_by_what_it_has(values, told):
    assert told in regularise(trial(**values))


def test_augmentation_is_advised_for_images_only_and_not_twice():
    assert "augment" not in regularise(trial(units=8))
    assert "augment" not in regularise(trial(filters=16, augment=True))


def test_a_weak_model_is_made_larger_and_a_jumpy_one_slower():
    assert "Raise `units` (now 8)" in strengthen(trial(units=8))
    assert calm(trial(learning_rate=0.5)).startswith(
        "Lower `learning_rate` (now 0.5) by a factor"
    )
