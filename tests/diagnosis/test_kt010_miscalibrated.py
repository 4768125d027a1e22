import numpy as np
import pytest
from views import classification_view, regression_view, with_predictions

from ktune.diagnosis import NotApplicable
from ktune.diagnosis.kt010_miscalibrated import Miscalibrated


def view_of(n, sharpness):
    rng = np.random.default_rng(0)
    truth = rng.random(n)
    target = (rng.random(n) < truth).astype(np.int64)
    logit = sharpness * np.log(truth / (1 - truth))
    prediction = 1 / (1 + np.exp(-logit))
    fold = np.arange(n) % 5
    return with_predictions(classification_view(0.8, 0.8), prediction, target, fold)


def test_probabilities_that_hold_are_in_order():
    assert Miscalibrated().check(view_of(2000, 1.0)) is None


def test_overconfidence_is_found():
    found = Miscalibrated().check(view_of(2000, 4.0))
    assert found is not None
    assert "overconfident" in found.message


def test_underconfidence_is_found():
    found = Miscalibrated().check(view_of(2000, 0.2))
    assert found is not None
    assert "underconfident" in found.message


def test_not_applicable_with_few_rows_or_to_numbers():
    with pytest.raises(NotApplicable, match="rows"):
        Miscalibrated().check(view_of(50, 1.0))
    with pytest.raises(NotApplicable, match="classes"):
        Miscalibrated().check(regression_view(0.9, 0.9))
