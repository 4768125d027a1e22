import numpy as np
from views import (
    classification_view,
    regression_view,
    with_context,
    with_curves,
)

from ktune.diagnosis import Baselines, Verdict
from ktune.diagnosis.kt003_underfitting import Underfitting

COIN = float(np.log(2))


def test_both_sides_at_chance_is_underfitting():
    view = with_curves(
        classification_view(0.52, 0.49), train_log_loss=[[COIN] * 10] * 5
    )
    found = Underfitting().check(view)
    assert found is not None
    assert found.verdict is Verdict.UNDERFIT
    assert "0.500" in found.message


def test_loss_that_hardly_moves_is_underfitting_even_with_lucky_accuracy():
    slow = [np.linspace(COIN, 0.98 * COIN, 10)] * 5
    view = with_curves(classification_view(0.8, 0.8), train_log_loss=slow)
    assert Underfitting().check(view) is not None


def test_r2_near_zero_is_underfitting():
    assert Underfitting().check(regression_view(0.04, 0.01)) is not None
    assert Underfitting().check(regression_view(0.8, 0.75)) is None


def test_a_good_trial_is_not_underfit():
    assert Underfitting().check(classification_view(0.95, 0.94)) is None


def test_a_steep_end_is_underfitting():
    steep = [np.linspace(COIN, 0.6 * COIN, 10)] * 5
    view = with_curves(
        classification_view(0.8, 0.8), train_log_loss=steep, val_log_loss=steep
    )
    found = Underfitting().check(view)
    assert found is not None
    assert "--epochs" in found.remedy


def test_a_linear_model_that_does_better_is_evidence():
    view = classification_view(0.75, 0.74)
    assert Underfitting().check(view) is None
    view = with_context(view, baselines=Baselines(linear={"accuracy": 0.9}))
    found = Underfitting().check(view)
    assert found is not None
    assert "linear model" in found.message


def test_another_trial_that_does_better_is_evidence():
    view = with_context(classification_view(0.75, 0.74), best_score=0.92)
    found = Underfitting().check(view)
    assert found is not None
    assert "Another trial" in found.message


def test_an_overfitted_trial_is_not_underfit_because_another_is_better():
    view = with_context(classification_view(1.0, 0.74), best_score=0.92)
    assert Underfitting().check(view) is None


def test_class_weights_make_a_worse_log_loss_on_purpose():
    entropy = -(0.95 * np.log(0.95) + 0.05 * np.log(0.05))
    weighted = [[1.5 * entropy] * 10] * 5
    view = classification_view(0.85, 0.84, confusion=((400, 75), (5, 20)))
    assert Underfitting().check(with_curves(view, train_log_loss=weighted)) is None
