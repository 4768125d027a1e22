import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.data.dataset import Task
from ktune.metrics.intervals import Estimate, estimate_metrics

RNG = np.random.default_rng(0)


def binary_rows(n, accuracy=0.8):
    y = RNG.integers(0, 2, n)
    is_right = RNG.random(n) < accuracy
    return y, np.where(is_right == (y == 1), 0.9, 0.1).astype(np.float32)


def estimate(names, y, p, task=Task.BINARY, **more):
    return estimate_metrics(
        names, y, p, task, **{"seed": 0, "n_resamples": 100, **more}
    )


@given(st.integers(5, 60))
def test_the_interval_holds_the_value(n):
    y, p = binary_rows(n)
    found = estimate(("accuracy", "log_loss"), y, p, n_resamples=50)
    for name in found:
        assert found[name].low <= found[name].value + 1e-9
        assert found[name].high >= found[name].value - 1e-9


def test_the_interval_covers_the_truth_nineteen_times_in_twenty():
    hits = 0
    for seed in range(60):
        y, p = binary_rows(200)
        found = estimate(("accuracy",), y, p, seed=seed)["accuracy"]
        hits += found.low <= 0.8 <= found.high
    assert hits >= 51


def test_more_rows_make_a_narrower_interval():
    widths = []
    for n in (50, 5000):
        found = estimate(("accuracy",), *binary_rows(n))["accuracy"]
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 5


def test_the_same_seed_gives_the_same_interval():
    rows = binary_rows(40)
    first, again, other = (estimate(("f1",), *rows, seed=s) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "matthews_corrcoef"])
def test_metrics_of_scikit_learn_have_intervals_too(name):
    found = estimate((name, "accuracy"), *binary_rows(40), n_resamples=200)
    assert list(found) == [name, "accuracy"]
    for estimated in found.values():
        assert estimated.low < estimated.value < estimated.high


def test_the_calibration_error_has_a_value_alone():
    found = estimate(("calibration_error",), *binary_rows(40))
    assert found["calibration_error"].value > 0
    assert found["calibration_error"].low is None


def test_what_is_not_defined_has_no_interval():
    y = np.array([1.5], dtype=np.float32)  # R² of a single row
    found = estimate(("r2", "mae"), y, y, Task.REGRESSION)
    assert (found["r2"].low, found["r2"].high) == (None, None)
    assert np.isnan(found["r2"].value)
    assert found["mae"] == Estimate(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("task", "y", "p"),
    [
        (Task.MULTICLASS, np.arange(30) % 3, np.eye(3)[np.arange(30) % 3]),
        (Task.MULTILABEL, np.eye(4, dtype=int), np.eye(4)),
        (Task.REGRESSION, np.arange(9.0), np.arange(9.0)),
    ],
)
def test_perfect_predictions_are_perfect_in_every_draw(task, y, p):
    name = "r2" if task is Task.REGRESSION else "accuracy"
    assert estimate((name,), y, p, task)[name] == Estimate(1.0, 1.0, 1.0)
