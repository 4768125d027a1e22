import io
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.testing.fakes import failed
from ktune.trial import FoldResult, TrialResult, TrialState
from ktune.tuner.reproduction.comparison import (
    Sameness,
    compare_numbers,
    compare_results,
    overall,
)

numbers = st.lists(st.floats(allow_infinity=False), min_size=1, max_size=8)


def predictions(shift=0.0):
    buffer = io.BytesIO()
    np.savez(buffer, prediction=np.linspace(0, 1, 5) + shift)
    return buffer.getvalue()


def result(accuracy=0.9, *, epochs=2, shift=0.0, n_parameters=7):
    fold = FoldResult(0, 8, 4, {"accuracy": accuracy}, {"accuracy": 1.0})
    return TrialResult(
        TrialState.COMPLETE,
        score=accuracy,
        best_epoch=epochs - 1,
        epochs=epochs,
        folds=(fold, replace(fold, index=1)),
        curves={"val_accuracy": ((0.1, accuracy)[:epochs], (0.2, accuracy)[:epochs])},
        n_parameters=n_parameters,
        out_of_fold=predictions(shift),
    )


def compared(recorded, again, tolerance=1e-3):
    found = compare_results(recorded, again, tolerance=tolerance)
    return {comparison.name: comparison for comparison in found}


@given(numbers, st.floats(0, 1))
def test_the_same_numbers_are_identical_at_any_tolerance(values, tolerance):
    found = compare_numbers("x", values, values, tolerance=tolerance)
    assert found.sameness is Sameness.IDENTICAL
    assert found.largest == 0


@given(st.lists(st.floats(-1, 1), min_size=1), st.floats(1e-6, 0.5))
def test_numbers_further_apart_than_the_tolerance_are_different(values, tolerance):
    again = [*values[:-1], values[-1] + 2 * tolerance]
    found = compare_numbers("x", values, again, tolerance=tolerance)
    assert found.sameness is Sameness.DIFFERENT


@given(st.floats(-1, 1), st.floats(1e-3, 0.5))
def test_numbers_closer_than_the_tolerance_are_within_it(value, tolerance):
    found = compare_numbers("x", [value], [value + tolerance / 2], tolerance=tolerance)
    assert found.sameness is Sameness.CLOSE
    assert found.largest == pytest.approx(tolerance / 2)


def test_of_large_numbers_the_tolerance_is_a_share():
    found = compare_numbers("rmse", [5000.0], [5004.0], tolerance=1e-3)
    assert found.sameness is Sameness.CLOSE


def test_a_number_that_is_no_longer_defined_is_different():
    found = compare_numbers("roc_auc", [0.9], [math.nan], tolerance=1.0)
    assert found.sameness is Sameness.DIFFERENT


def test_other_rows_are_different_not_an_error():
    found = compare_numbers("outputs", [1.0, 2.0], [1.0], tolerance=1.0)
    assert found.sameness is Sameness.DIFFERENT


def test_a_result_is_identical_to_itself_in_everything():
    found = compared(result(), result())
    assert {c.sameness for c in found.values()} == {Sameness.IDENTICAL}
    assert {"val_accuracy", "train_accuracy", "learning curves"} <= set(found)
    assert "out-of-fold predictions" in found


def test_one_fold_apart_is_enough():
    again = result()
    changed = replace(again.folds[1], validation={"accuracy": 0.8})
    again = replace(again, folds=(again.folds[0], changed))
    assert compared(result(), again)["val_accuracy"].sameness is Sameness.DIFFERENT


def test_predictions_are_compared_row_by_row():
    found = compared(result(), result(shift=1e-5))
    assert found["out-of-fold predictions"].sameness is Sameness.CLOSE
    assert found["val_accuracy"].sameness is Sameness.IDENTICAL


def test_another_number_of_epochs_is_no_difference_of_its_own():
    found = compared(result(epochs=2), result(epochs=1))
    assert found["epochs"].sameness is Sameness.CLOSE


def test_another_model_is_different():
    found = compared(result(), result(n_parameters=8))
    assert found["n_parameters"].sameness is Sameness.DIFFERENT


def test_a_trial_that_fails_as_before_is_identical():
    assert overall(compared(failed("boom"), failed("boom")).values()) is (
        Sameness.IDENTICAL
    )


@pytest.mark.parametrize("again", [result(), failed("other")])
def test_a_trial_that_ends_otherwise_is_different(again):
    found = compared(failed("boom"), again)
    assert overall(found.values()) is Sameness.DIFFERENT


def test_nothing_compared_is_not_called_identical():
    assert overall([]) is Sameness.DIFFERENT
