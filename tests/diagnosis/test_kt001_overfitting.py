import numpy as np
import pytest
from views import (
    classification_view,
    failed_view,
    regression_view,
    with_curves,
)

from ktune.diagnosis import NotApplicable, Verdict
from ktune.diagnosis.kt001_overfitting import Overfitting

COIN = float(np.log(2))


def test_a_large_gap_in_all_folds_is_overfitting():
    found = Overfitting().check(classification_view(1.0, 0.7))
    assert found is not None
    assert found.verdict is Verdict.OVERFIT
    assert found.evidence["gap"] == pytest.approx(0.3)
    assert "0.700" in found.message


def test_a_small_gap_is_none():
    assert Overfitting().check(classification_view(0.99, 0.96)) is None


def test_a_large_gap_within_noise_is_none():
    validation = [1.0, 0.5, 0.9, 0.6, 1.0]
    view = classification_view(1.0, validation, n_validation=8)
    assert Overfitting().check(view) is None


def test_one_odd_fold_is_not_overfitting():
    view = classification_view(0.95, [0.94, 0.95, 0.2, 0.95, 0.93])
    assert Overfitting().check(view) is None


def test_turning_validation_loss_confirms_a_smaller_gap():
    view = classification_view(0.99, 0.87)
    assert Overfitting().check(view) is None
    falling = [np.linspace(0.6, 0.02, 10)] * 5
    rising = [[0.6, 0.5, 0.45, *np.linspace(0.45, 0.8, 7)]] * 5
    view = with_curves(view, train_log_loss=falling, val_log_loss=rising)
    assert Overfitting().check(view) is not None


def test_memorising_behind_early_stopping_is_overfitting():
    view = classification_view(0.55, 0.53, best_epoch=0)
    view = with_curves(
        view,
        train_log_loss=[np.linspace(0.68, 0.2, 10)] * 5,
        val_log_loss=[np.linspace(0.7, 1.2, 10)] * 5,
        train_accuracy=[np.linspace(0.55, 0.95, 10)] * 5,
        val_accuracy=[np.linspace(0.53, 0.5, 10)] * 5,
    )
    found = Overfitting().check(view)
    assert found is not None
    assert "memorises its training rows" in found.message


def test_a_trial_that_learned_nothing_cannot_overfit():
    view = classification_view([0.62] * 5, [0.4] * 5)
    flat = [[1.1 * COIN] * 10] * 5
    assert Overfitting().check(with_curves(view, train_log_loss=flat)) is None


def test_regression_is_judged_by_r2():
    found = Overfitting().check(regression_view(0.95, 0.3))
    assert found is not None
    assert "r2" in found.message
    assert Overfitting().check(regression_view(0.9, 0.8)) is None


def test_one_fold_is_judged_by_its_rows():
    assert Overfitting().check(classification_view(1.0, 0.7, n_folds=1)) is not None
    few = classification_view(1.0, 0.8, n_folds=1, n_validation=10)
    assert Overfitting().check(few) is None


def test_remedy_names_the_users_parameters():
    view = classification_view(1.0, 0.7, values={"dropout": 0.1, "units_0": 256})
    found = Overfitting().check(view)
    assert found is not None
    assert "raise `dropout` (now 0.1)".casefold() in found.remedy.casefold()
    assert "`units_0` (now 256)" in found.remedy


def test_not_applicable_to_a_failed_trial():
    with pytest.raises(NotApplicable, match="failed"):
        Overfitting().check(failed_view())
