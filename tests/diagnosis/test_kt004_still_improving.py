import numpy as np
import pytest
from views import classification_view, with_curves

from ktune.diagnosis import NotApplicable
from ktune.diagnosis.kt004_still_improving import StillImproving
from ktune.trial import TrialState

FALLING = [np.linspace(0.6, 0.2, 10)] * 5


def test_a_loss_that_still_falls_at_the_end_is_found():
    view = with_curves(
        classification_view(0.9, 0.9), train_log_loss=FALLING, val_log_loss=FALLING
    )
    found = StillImproving().check(view)
    assert found is not None
    assert "--epochs 20" in found.remedy


def test_a_flat_end_is_in_order():
    assert StillImproving().check(classification_view(0.9, 0.9)) is None


def test_an_early_best_epoch_is_in_order():
    view = with_curves(
        classification_view(0.9, 0.9, best_epoch=4),
        train_log_loss=FALLING,
        val_log_loss=FALLING,
    )
    assert StillImproving().check(view) is None


def test_not_applicable_to_pruned_trials():
    view = classification_view(0.9, 0.9, state=TrialState.PRUNED)
    with pytest.raises(NotApplicable, match="pruned"):
        StillImproving().check(view)
