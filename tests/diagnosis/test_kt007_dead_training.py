import numpy as np
from views import (
    classification_view,
    failed_view,
    with_curves,
    with_predictions,
)

from ktune.diagnosis import Verdict
from ktune.diagnosis.kt007_dead_training import DeadTraining

FOLD = np.repeat(np.arange(5), 20)
TARGET = np.tile([0, 1], 50)


def test_a_failed_trial_is_failed():
    found = DeadTraining().check(failed_view("the loss is nan"))
    assert found is not None
    assert found.verdict is Verdict.FAILED
    assert "nan" in found.message


def test_constant_predictions_are_found():
    constant = np.repeat([0.5, 0.51, 0.49, 0.5, 0.5], 20)
    view = with_predictions(classification_view(0.5, 0.5), constant, TARGET, FOLD)
    found = DeadTraining().check(view)
    assert found is not None
    assert found.evidence["dead_share"] == 1.0


def test_predictions_that_differ_are_in_order():
    prediction = np.random.default_rng(0).random(100)
    view = with_predictions(classification_view(0.9, 0.9), prediction, TARGET, FOLD)
    assert DeadTraining().check(view) is None


def test_without_predictions_the_confusion_matrix_and_curve_tell():
    view = classification_view(0.5, 0.5, confusion=((250, 0), (250, 0)))
    dead = with_curves(view, train_log_loss=[[np.log(2)] * 10] * 5)
    assert DeadTraining().check(dead) is not None
    assert DeadTraining().check(classification_view(0.9, 0.9)) is None
