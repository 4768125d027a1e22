import numpy as np
import pandas as pd
import pytest

from ktune.data.dataset import Dataset, Kind, Task
from ktune.data.folds import split
from ktune.diagnosis.data_facts import find_data_facts


def partition_of(x, y, task):
    names = () if task is Task.REGRESSION else ("a", "b")
    data = Dataset("d", x, y, task, Kind.TABULAR, names)
    return split(data, cv=4, test_size=0.2, seed=0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_feature_made_from_the_target_is_found(rng):
    x = rng.normal(size=(200, 4))
    y = rng.integers(0, 2, 200)
    x[:, 2] = 3.0 * y + 1.0
    names = ["age", "size", "paid_back", "rate"]
    facts = find_data_facts(partition_of(x, y, Task.BINARY), Task.BINARY, names, seed=0)
    assert facts.best_feature == "paid_back"
    assert facts.best_feature_score > 0.98
    assert facts.duplicates_in_folds == 0.0


def test_a_copy_of_a_regression_target_is_found(rng):
    x = rng.normal(size=(300, 3))
    y = rng.normal(size=300).astype(np.float32)
    x[:, 1] = 2 * y
    facts = find_data_facts(
        partition_of(x, y, Task.REGRESSION), Task.REGRESSION, seed=0
    )
    assert facts.best_feature == "feature 1"
    assert facts.best_feature_score > 0.98


def test_honest_features_are_not_suspected(rng):
    x = rng.normal(size=(300, 4))
    y = (x[:, 0] + rng.normal(size=300) > 0).astype(np.int64)
    facts = find_data_facts(partition_of(x, y, Task.BINARY), Task.BINARY, seed=0)
    assert facts.best_feature_score < 0.8


def test_rows_that_occur_twice_are_counted(rng):
    x = rng.normal(size=(100, 4))
    y = rng.integers(0, 2, 100)
    twice = partition_of(np.tile(x, (2, 1)), np.tile(y, 2), Task.BINARY)
    facts = find_data_facts(twice, Task.BINARY, seed=0)
    assert facts.duplicates_in_folds > 0.4
    assert facts.duplicates_in_test > 0.4


def test_tables_with_text_are_read(rng):
    table = pd.DataFrame(
        {"city": rng.choice(["Rome", "Oslo"], 200), "size": rng.normal(size=200)}
    )
    y = (table["city"] == "Rome").to_numpy().astype(np.int64)
    facts = find_data_facts(partition_of(table, y, Task.BINARY), Task.BINARY, seed=0)
    assert facts.best_feature == "city"


def test_few_possible_rows_repeat_by_chance(rng):
    x = rng.integers(0, 2, size=(200, 2)).astype(np.float64)
    y = (x[:, 0] != x[:, 1]).astype(np.int64)
    facts = find_data_facts(partition_of(x, y, Task.BINARY), Task.BINARY, seed=0)
    assert facts.duplicates_in_folds is None
