"""Search the data for leaking features and duplicates, which inflate all scores."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ktune.data.dataset import Inputs, Targets, Task
from ktune.data.folds import Partition
from ktune.data.nest import parts_of
from ktune.data.table_and_images import has_table_beside, table_of
from ktune.diagnosis.view import DataFacts

MOST_ROWS = 2000
_WITHOUT_SKILL = (Task.MULTILABEL, Task.CUSTOM)
MOST_FEATURES = 500
TREE_DEPTH = 4


def find_data_facts(
    partition: Partition, task: Task, feature_names: Sequence[str] = (), *, seed: int
) -> DataFacts:
    """Find a feature that alone predicts the target, and duplicate rows.

    Args:
        partition: The partition of the data, before preprocessing.
        task: Task of the data.
        feature_names: In the order of columns; empty: "feature 0", "feature 1" …
        seed: Seed of the sample of rows, if there are many.
    """
    best, score = _best_feature(partition, task, feature_names, seed)
    if _repeats_by_chance(partition.x):
        return DataFacts(best_feature=best, best_feature_score=score)
    keys = _row_keys(partition.x, partition.y)
    in_test = None
    if partition.x_test is not None and partition.y_test is not None:
        in_test = _share_in(_row_keys(partition.x_test, partition.y_test), keys)
    return DataFacts(
        best_feature=best,
        best_feature_score=score,
        duplicates_in_folds=_duplicates_in_folds(partition, keys),
        duplicates_in_test=in_test,
    )


def _best_feature(
    partition: Partition, task: Task, feature_names: Sequence[str], seed: int
) -> tuple[str, float | None]:
    """Return the best feature and the cross-validated skill of a shallow tree on it."""
    columns = _columns(partition.x, feature_names)
    if not columns or len(columns) > MOST_FEATURES or task in _WITHOUT_SKILL:
        return "", None
    y = partition.y
    if y.ndim > 1:
        return "", None
    rows = np.arange(len(y))
    if len(rows) > MOST_ROWS:
        rows = np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False)
    if task.is_classification and np.bincount(y[rows]).min() < 3:
        return "", None
    skills = {
        name: _skill_alone(column[rows], y[rows], task, seed)
        for name, column in columns.items()
    }
    best = max(skills, key=lambda name: skills[name])
    return best, skills[best]


def _columns(x: Inputs, feature_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the columns of the table as numbers; {} for other data."""
    table = table_of(x)
    if table is not None:
        return {str(name): _as_numbers(table[name]) for name in table.columns}
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.dtype.kind not in "biuf":
        return {}
    names = list(feature_names)
    if len(names) != x.shape[1]:
        names = [f"feature {index}" for index in range(x.shape[1])]
    return {name: x[:, i].astype(np.float64) for i, name in enumerate(names)}


def _as_numbers(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.factorize(column)[0].astype(np.float64)


def _skill_alone(column: np.ndarray, y: np.ndarray, task: Task, seed: int) -> float:
    """Return the skill of a shallow tree on one feature, over three folds."""
    kind = DecisionTreeRegressor if task is Task.REGRESSION else DecisionTreeClassifier
    # A feature equal to a numeric target needs a leaf for each value.
    depth = None if task is Task.REGRESSION else TREE_DEPTH
    tree = kind(max_depth=depth, min_samples_leaf=3, random_state=seed)
    x = np.nan_to_num(column, posinf=0.0, neginf=0.0).reshape(-1, 1)
    if task.is_classification:
        x = np.clip(x, -1e30, 1e30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = cross_val_predict(tree, x, y, cv=3)
    if task is Task.REGRESSION:
        return float(1 - np.mean((predicted - y) ** 2) / max(float(np.var(y)), 1e-12))
    chance = float(np.bincount(y).max() / len(y))
    return float((np.mean(predicted == y) - chance) / max(1 - chance, 1e-12))


def _repeats_by_chance(x: Inputs) -> bool:
    """Whether duplicates are expected because few different rows are possible."""
    columns = {} if has_table_beside(x) else _columns(x, ())
    if not columns or len(columns) > MOST_FEATURES:
        return False
    logarithm = sum(np.log(len(np.unique(column))) for column in columns.values())
    return bool(logarithm < np.log(10.0 * len(next(iter(columns.values())))))


def _row_keys(x: Inputs, y: Targets) -> np.ndarray:
    """Return a hash of features and target for each row, shape (n,)."""
    y = next(iter(parts_of(y).values()))
    hashes = pd.util.hash_array(np.ascontiguousarray(y).reshape(len(y), -1)[:, 0])
    for part in _parts(x):
        for column in _flat_columns(part):
            hashes = hashes * np.uint64(1_000_003) ^ column
    return hashes


def _parts(x: Inputs) -> list[np.ndarray | pd.Series]:
    if isinstance(x, pd.DataFrame):
        return [x.iloc[:, index] for index in range(x.shape[1])]
    if isinstance(x, np.ndarray):
        return [x]
    return [one for part in x.values() for one in _parts(part)]


def _flat_columns(part: np.ndarray | pd.Series) -> list[np.ndarray]:
    array = part.to_numpy() if isinstance(part, pd.Series) else np.asarray(part)
    if array.dtype.kind in "OUT":
        text = np.array([str(item) for item in array.ravel()], dtype=object)
        table = pd.util.hash_array(text).reshape(len(array), -1)
        return list(table.T)
    if array.ndim == 1:
        return [pd.util.hash_array(np.ascontiguousarray(array))]
    # Hash rows as bytes: hashing 784 columns separately takes a second.
    flat = np.ascontiguousarray(array.reshape(len(array), -1))
    rows = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1])))
    as_bytes = np.array([row.tobytes() for row in rows.ravel()], dtype=object)
    return [pd.util.hash_array(as_bytes)]


def _duplicates_in_folds(partition: Partition, keys: np.ndarray) -> float:
    is_duplicate = [
        np.isin(keys[fold.validation], keys[fold.train]) for fold in partition.folds
    ]
    return float(np.mean(np.concatenate(is_duplicate)))


def _share_in(rows: np.ndarray, others: np.ndarray) -> float:
    return float(np.mean(np.isin(rows, others)))
