import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.data.dataset import Task
from ktune.metrics.proper_scores import paired_gain, proper_metric, row_losses
from ktune.metrics.scores import compute_metrics

TASKS = [task for task in Task if task is not Task.CUSTOM]


def case(task, seed):
    rng = np.random.default_rng(seed)
    if task is Task.REGRESSION:
        return rng.normal(size=30), rng.normal(size=30)
    if task is Task.BINARY:
        return rng.integers(0, 2, 30), rng.random(30)
    if task is Task.MULTILABEL:
        return rng.integers(0, 2, (30, 3)), rng.random((30, 3))
    raw = rng.random((30, 3))
    return rng.integers(0, 3, 30), raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("has_weights", [False, True])
def test_the_mean_of_the_losses_is_the_metric_of_the_same_name(task, has_weights):
    y, predictions = case(task, 0)
    weights = np.random.default_rng(1).random(30) if has_weights else None
    metric = proper_metric(task)
    found = compute_metrics((metric,), y, predictions, task, weights)[metric]
    losses = row_losses(y, predictions, task)
    assert np.average(losses, weights=weights) == pytest.approx(found, rel=1e-6)


@given(st.integers(0, 1000), st.sampled_from(TASKS))
def test_a_mean_of_predictions_loses_no_more_than_they_do_on_average(seed, task):
    y, first = case(task, seed)
    _, second = case(task, seed + 1)
    losses = [row_losses(y, p, task).mean() for p in (first, second)]
    assert row_losses(y, (first + second) / 2, task).mean() <= np.mean(losses) + 1e-9


def test_a_certain_mistake_has_a_finite_loss():
    assert np.isfinite(row_losses(np.array([1]), np.array([0.0]), Task.BINARY)).all()


def test_a_gain_is_beyond_noise_when_nearly_all_rows_agree():
    rng = np.random.default_rng(0)
    before = rng.random(200)
    assert paired_gain(before, before - 0.1).is_beyond_noise
    assert not paired_gain(before, before + 0.1).is_beyond_noise
    assert not paired_gain(before, rng.permutation(before)).is_beyond_noise


def test_rows_with_weight_zero_do_not_count():
    first, second = np.array([1.0, 5.0]), np.array([0.5, 9.0])
    gain = paired_gain(first, second, np.array([1.0, 0.0]))
    assert (gain.mean, gain.low) == (0.5, 0.5)
