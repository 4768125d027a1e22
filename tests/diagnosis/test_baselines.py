import numpy as np
import pytest

from ktune.data.dataset import Dataset, Kind, Task
from ktune.data.folds import split
from ktune.data.preprocessing import prepare_folds
from ktune.diagnosis.baselines import measure_baselines

METRICS = ("accuracy", "f1_macro", "log_loss")


def baselines_of(x, y, task, metrics=METRICS):
    names = (
        tuple(str(k) for k in range(int(y.max()) + 1)) if task != "regression" else ()
    )
    data = Dataset("d", x, y, task, Kind.TABULAR, names)
    partition = split(data, cv=3, test_size=0.2, seed=0)
    folds = prepare_folds(partition, "auto", Kind.TABULAR)
    return measure_baselines(folds, task, metrics, seed=0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_xor_is_beyond_a_linear_model_but_not_beyond_trees(rng):
    x = rng.uniform(-1, 1, size=(400, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    found = baselines_of(x, y, Task.BINARY)
    assert found.constant["accuracy"] == pytest.approx(0.5, abs=0.08)
    assert found.linear["accuracy"] < 0.65
    assert found.trees["accuracy"] > 0.9


def test_regression_is_scored_by_its_metrics(rng):
    x = rng.normal(size=(200, 3))
    y = (x @ [1.0, 2.0, 3.0]).astype(np.float32)
    found = baselines_of(x, y, Task.REGRESSION, ("rmse", "r2"))
    assert found.constant["r2"] <= 0
    assert found.linear["r2"] > 0.99


def test_several_classes_are_scored(rng):
    y = rng.integers(0, 4, 300)
    x = np.eye(4)[y] + 0.1 * rng.normal(size=(300, 4))
    found = baselines_of(x, y, Task.MULTICLASS)
    assert found.linear["accuracy"] > 0.98
    assert found.linear["log_loss"] < found.constant["log_loss"]


def test_several_labels_have_a_constant_only(rng):
    y = rng.integers(0, 2, size=(200, 3))
    data = Dataset("d", rng.normal(size=(200, 2)), y, Task.MULTILABEL, Kind.TABULAR)
    partition = split(data, cv=3, test_size=0.2, seed=0)
    folds = prepare_folds(partition, "auto", Kind.TABULAR)
    found = measure_baselines(folds, Task.MULTILABEL, ("f1_macro", "log_loss"), seed=0)
    assert 0 < found.constant["log_loss"] < 1
    assert not found.linear
