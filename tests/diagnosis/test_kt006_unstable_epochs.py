import numpy as np
import pytest
from views import classification_view, regression_view, with_curves

from ktune.diagnosis import NotApplicable, Verdict
from ktune.diagnosis.kt006_unstable_epochs import UnstableEpochs

COIN = float(np.log(2))


def check(train):
    view = classification_view(0.8, 0.8, values={"learning_rate": 0.5})
    return UnstableEpochs().check(with_curves(view, train_log_loss=train))


def test_spikes_are_found():
    found = check([[0.5, 0.2, 0.9, 0.3, 1.5, 0.4, 0.9, 0.3, 0.8, 0.4]] * 5)
    assert found is not None
    assert found.verdict is Verdict.UNSTABLE
    assert "lower `learning_rate` (now 0.5)".casefold() in found.remedy.casefold()


def test_small_wiggles_are_in_order():
    rng = np.random.default_rng(0)
    assert check(np.linspace(0.5, 0.1, 10) + 0.02 * rng.normal(size=(5, 10))) is None


def test_falling_apart_at_the_end_is_found():
    assert check([[0.5, 0.4, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 3.0]] * 5) is not None


def test_hovering_above_chance_is_found():
    rng = np.random.default_rng(0)
    assert check(COIN * 1.1 + 0.03 * rng.normal(size=(5, 10))) is not None


def test_a_slow_descent_from_above_chance_is_not_divergence():
    assert check([np.linspace(1.3, 1.1, 10)] * 5) is None


def regression(r2, rmse, mae):
    return with_curves(
        regression_view(-5.0, -5.0),
        train_r2=[r2] * 5,
        val_r2=[r2] * 5,
        train_rmse=[rmse] * 5,
        train_mae=[mae] * 5,
    )


def test_an_explosion_that_heals_slowly_is_found():
    r2 = -np.logspace(5, 1, 10)
    rmse = np.sqrt(1 - r2)
    assert UnstableEpochs().check(regression(r2, rmse, rmse / 1.5)) is not None


def test_missing_the_mean_of_the_targets_is_no_explosion():
    r2 = -np.linspace(20, 15, 10)
    rmse = np.sqrt(1 - r2)
    assert UnstableEpochs().check(regression(r2, rmse, rmse / 1.02)) is None


def test_not_applicable_to_three_epochs():
    with pytest.raises(NotApplicable, match="epochs"):
        check([[0.5, 0.4, 0.3]] * 5)
