import numpy as np
import pytest
from views import classification_view, regression_view, with_curves

from ktune.diagnosis import NotApplicable
from ktune.diagnosis.kt002_turning_up import TurningUp

FALLING = [np.linspace(0.6, 0.02, 10)] * 5
RISING = [[0.6, 0.5, 0.45, *np.linspace(0.45, 0.8, 7)]] * 5


def test_rising_validation_loss_is_found_at_its_epoch():
    view = with_curves(
        classification_view(0.99, 0.9), train_log_loss=FALLING, val_log_loss=RISING
    )
    found = TurningUp().check(view)
    assert found is not None
    assert found.evidence["turning_epoch"] == 3
    assert found.verdict is None


def test_curves_that_stay_are_in_order():
    assert TurningUp().check(classification_view(0.95, 0.94)) is None


def test_a_rise_in_one_fold_only_is_noise():
    flat = [[0.6, 0.5, 0.45, *[0.45] * 7]] * 4
    view = with_curves(
        classification_view(0.99, 0.9),
        train_log_loss=FALLING,
        val_log_loss=[*flat, RISING[0]],
    )
    assert TurningUp().check(view) is None


def test_not_applicable_to_three_epochs():
    view = with_curves(
        classification_view(0.9, 0.9),
        train_log_loss=[[0.6, 0.5, 0.4]] * 5,
        val_log_loss=[[0.6, 0.5, 0.4]] * 5,
    )
    with pytest.raises(NotApplicable, match="epochs"):
        TurningUp().check(view)


def test_the_remedy_names_a_metric_of_the_task():
    view = with_curves(
        regression_view(0.9, 0.4),
        train_r2=[np.linspace(0.4, 0.9, 10)] * 5,
        val_r2=[np.linspace(0.6, 0.4, 10)] * 5,
    )
    found = TurningUp().check(view)
    assert found is not None
    assert "log_loss" not in found.remedy
    assert "--objective rmse" in found.remedy
