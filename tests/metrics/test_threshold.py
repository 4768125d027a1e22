import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.experiment.experiment import Experiment
from ktune.metrics.calibration import calibration_error, reliability_bins
from ktune.metrics.objectives import make_objective
from ktune.metrics.scores import compute_metrics
from ktune.metrics.threshold import cut_at, tune_threshold

probabilities = st.lists(st.floats(0, 1, width=16), min_size=2, max_size=40)


@given(predictions=probabilities, threshold=st.floats(0.01, 0.99))
def test_cutting_at_a_half_afterwards_is_cutting_at_the_threshold(
    predictions, threshold
):
    given_ = np.array(predictions)
    bent = cut_at(given_, threshold)
    assert np.array_equal(bent > 0.5, given_ > threshold)
    assert (np.diff(bent[np.argsort(given_, kind="stable")]) >= -1e-12).all()
    assert ((bent >= 0) & (bent <= 1)).all()


@given(predictions=probabilities, data=st.data())
def test_no_threshold_is_better_on_the_rows_it_was_tuned_on(predictions, data):
    labels = st.lists(
        st.integers(0, 1), min_size=len(predictions), max_size=len(predictions)
    )
    y, p = np.array(data.draw(labels)), np.array(predictions)
    found = tune_threshold(y, p, "f1")
    for other in (0.1, 0.3, 0.5, 0.7, 0.9):
        score = compute_metrics(("f1",), y, cut_at(p, other), Task.BINARY)["f1"]
        assert score <= found.score + 1e-9 or len(np.unique(p)) > 200
    assert 0 < found.value < 1
    assert found.score >= found.score_at_half


def test_a_rare_class_gets_a_lower_threshold():
    y = np.array([0] * 8 + [1] * 2)
    p = np.array([0.01, 0.02, 0.03, 0.05, 0.05, 0.08, 0.1, 0.1, 0.3, 0.4])
    found = tune_threshold(y, p, "f1")
    assert 0.1 < found.value < 0.3
    assert (found.score, found.score_at_half) == (1.0, 0.0)
    assert "f1 1.0000 there, 0.0000 at 0.5" in found.describe()


def test_a_ranking_is_no_goal_for_a_threshold():
    y, p = np.array([0, 1, 1]), np.array([0.2, 0.3, 0.4])
    assert tune_threshold(y, p, "roc_auc").metric == "f1"
    assert tune_threshold(y, p, "balanced_accuracy").metric == "balanced_accuracy"


@pytest.mark.parametrize("threshold", ["tuned", 0.0, 1.0, 1, True])
def test_a_bad_threshold_is_refused(threshold):
    with pytest.raises(ExperimentError, match="`threshold` must be None, 'tune' or"):
        Experiment(name="x", data=([[0.0]], [0]), build=print, threshold=threshold)


def test_the_calibration_error_tells_honest_probabilities_from_boasting_ones():
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 1, 20_000)
    y = (rng.uniform(0, 1, len(p)) < p).astype(int)
    boasting = np.clip((p - 0.5) * 3 + 0.5, 0, 1)
    names = ("calibration_error",)
    honest = compute_metrics(names, y, p, Task.BINARY)["calibration_error"]
    worse = compute_metrics(names, y, boasting, Task.BINARY)["calibration_error"]
    assert honest < 0.01 < 0.1 < worse
    both = np.column_stack([1 - p, p])
    bins = reliability_bins(y, both, Task.MULTICLASS)
    assert calibration_error(bins) == pytest.approx(honest)
    assert make_objective("calibration_error").direction == "min"
    with pytest.raises(ExperimentError, match="classes"):
        compute_metrics(names, p, p, Task.REGRESSION)
