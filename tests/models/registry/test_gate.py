import warnings

import numpy as np
import pytest

from ktune.data.dataset import Task
from ktune.metrics.objectives import make_objective
from ktune.models.registry.gate import decide

ACCURACY = make_objective("accuracy")
N = 200


def predictions_of_skill(rng, y, accuracy):
    """Probabilities that name the right class with the given chance."""
    is_right = rng.random(len(y)) < accuracy
    return np.where(is_right == (y == 1), 0.9, 0.1).astype(np.float32)


def pair(seed, candidate, champion, n=N):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    skills = (candidate, champion)
    return (*(predictions_of_skill(rng, y, skill) for skill in skills), y)


def decide_pair(seed, candidate, champion, *, objective=ACCURACY, n=N):
    new, old, y = pair(seed, candidate, champion, n)
    return decide(new, old, y, task=Task.BINARY, objective=objective)


def test_equally_good_models_are_rarely_promoted(few_resamples):
    promoted = [decide_pair(seed, 0.8, 0.8).is_promoted for seed in range(100)]
    assert sum(promoted) <= 5


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr("ktune.models.registry.gate.N_RESAMPLES", 200)


def test_a_clearly_better_model_is_promoted(few_resamples):
    promoted = [decide_pair(seed, 0.95, 0.7).is_promoted for seed in range(20)]
    assert all(promoted)


def test_a_worse_model_is_never_promoted(few_resamples):
    promoted = [decide_pair(seed, 0.7, 0.9).is_promoted for seed in range(20)]
    assert not any(promoted)


def test_the_same_model_is_not_promoted():
    new, _, y = pair(0, 0.9, 0.5)
    decision = decide(new, new, y, task=Task.BINARY, objective=ACCURACY)
    assert not decision.is_promoted
    assert "better by +0.0000 [+0.0000, +0.0000]" in decision.reason
    assert "within noise" in decision.reason


def test_the_reason_tells_gain_interval_and_rows():
    decision = decide_pair(1, 0.95, 0.7)
    assert decision.reason.startswith("accuracy on 200 test rows better by +0.2")
    assert decision.reason.endswith("more than noise")


@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
def test_a_worse_model_is_called_worse(name):
    objective = make_objective(name)
    decision = decide_pair(1, 0.6, 0.95, objective=objective)
    assert not decision.is_promoted
    assert f"{name} on 200 test rows worse by +" in decision.reason
    assert "better" not in decision.reason
    assert decision.reason.endswith("more than noise")


def test_a_slightly_worse_model_is_worse_within_noise():
    y = np.arange(N) % 2
    old = np.where(y == 1, 0.9, 0.1).astype(np.float32)
    new = old.copy()
    new[0] = 1 - new[0]
    reason = decide(new, old, y, task=Task.BINARY, objective=ACCURACY).reason
    assert "worse by +0.0050 [" in reason
    assert reason.endswith("within noise of the champion")


def test_few_rows_prove_little():
    decisions = [decide_pair(seed, 0.85, 0.75, n=20) for seed in range(10)]
    assert sum(decision.is_promoted for decision in decisions) <= 2


@pytest.mark.parametrize("name", ["log_loss", "accuracy"])
def test_the_direction_of_the_metric_is_respected(name):
    objective = make_objective(name)
    assert decide_pair(0, 0.95, 0.7, objective=objective).is_promoted
    assert not decide_pair(0, 0.7, 0.95, objective=objective).is_promoted


def test_smaller_errors_of_numbers_are_better():
    rng = np.random.default_rng(0)
    y = rng.normal(size=N).astype(np.float32)
    near, far = (y + rng.normal(size=N) * error for error in (0.1, 0.5))
    rmse = make_objective("rmse")
    assert decide(near, far, y, task=Task.REGRESSION, objective=rmse).is_promoted
    assert not decide(far, near, y, task=Task.REGRESSION, objective=rmse).is_promoted


def test_the_same_seed_decides_the_same():
    assert decide_pair(3, 0.85, 0.8) == decide_pair(3, 0.85, 0.8)


def test_a_metric_of_scikit_learn_decides_where_draws_lack_a_class(few_resamples):
    rng = np.random.default_rng(0)
    y = np.r_[np.arange(30) % 2, 2]
    rows = rng.uniform(0.1, 1, (31, 3)).astype(np.float32)
    old = rows / rows.sum(axis=1, keepdims=True)
    new = np.eye(3, dtype=np.float32)[y]
    objective = make_objective("roc_auc_ovr")
    assert decide(new, old, y, task=Task.MULTICLASS, objective=objective).is_promoted


def test_a_metric_that_is_never_defined_promotes_no_model(few_resamples):
    y = np.zeros(20, int)
    p = np.full(20, 0.1, dtype=np.float32)
    roc_auc = make_objective("roc_auc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decision = decide(p, p, y, task=Task.BINARY, objective=roc_auc)
    assert not decision.is_promoted
    assert "roc_auc is not defined on the 20 test rows" in decision.reason
