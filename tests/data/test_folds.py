import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

from ktune.data.dataset import Dataset, Kind, Task
from ktune.data.folds import fold_of_rows, make_folds, split
from ktune.errors import DataError, ExperimentError


def dataset_of(y, *, task=Task.BINARY, groups=None, **more):
    y = np.asarray(y)
    x = np.arange(len(y), dtype=np.float64).reshape(-1, 1)
    names = ("a", "b", "c")[: int(y.max()) + 1] if task.is_classification else ()
    return Dataset("rows", x, y, task, Kind.TABULAR, names, groups=groups, **more)


def two_classes(n=100, share=0.3):
    return (np.arange(n) < share * n).astype(np.int64)


def numbers(n=100):
    return np.linspace(0, 1, n, dtype=np.float32)


def split_of(data, *, cv=5, test_size=0.2, seed=0):
    return split(data, cv=cv, test_size=test_size, seed=seed)


def same_folds(one, other):
    return all(
        a.train.tolist() == b.train.tolist()
        and a.validation.tolist() == b.validation.tolist()
        for a, b in zip(one, other, strict=True)
    )


@given(
    st.integers(20, 120),
    st.integers(2, 5),
    st.floats(0, 0.4),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_folds_partition_the_rows_that_are_not_test_rows(
    n, n_folds, test_size, seed, has_classes
):
    data = (
        dataset_of(two_classes(n, 0.5))
        if has_classes
        else dataset_of(numbers(n), task=Task.REGRESSION)
    )
    try:
        found = split_of(data, cv=n_folds, test_size=test_size, seed=seed)
    except DataError:
        assert 0 < test_size < 0.1  # too few rows for a test set of both classes
        return
    validated = np.concatenate([fold.validation for fold in found.folds])
    assert sorted(validated) == list(range(len(found.y)))
    for fold in found.folds:
        both = np.concatenate([fold.train, fold.validation])
        assert sorted(both) == list(range(len(found.y)))
        assert fold.train.tolist() == sorted(fold.train)
    test_rows = [] if found.test_rows is None else found.test_rows
    assert sorted([*found.rows, *test_rows]) == list(range(n))


def test_features_and_targets_stay_together():
    data = dataset_of(numbers(), task=Task.REGRESSION)
    found = split_of(data)
    assert found.x[:, 0].tolist() == found.rows.tolist()
    assert found.y.tolist() == data.y[found.rows].tolist()
    assert found.x_test[:, 0].tolist() == found.test_rows.tolist()
    assert found.y_test.tolist() == data.y[found.test_rows].tolist()


def test_classes_have_the_same_share_in_the_test_set_and_every_fold():
    found = split_of(dataset_of(two_classes(200, 0.3)))
    assert found.y_test.mean() == pytest.approx(0.3)
    for fold in found.folds:
        assert found.y[fold.validation].mean() == pytest.approx(0.3, abs=0.02)


def test_the_same_seed_makes_the_same_folds_and_another_one_others():
    data = dataset_of(two_classes())
    first, again, other = (split_of(data, seed=seed) for seed in (3, 3, 4))
    assert same_folds(first.folds, again.folds)
    assert not same_folds(first.folds, other.folds)


def test_test_rows_do_not_depend_on_the_seed():
    data = dataset_of(two_classes())
    found = [split_of(data, seed=seed) for seed in range(5)]
    assert len({tuple(partition.test_rows) for partition in found}) == 1
    assert len({partition.test_digest for partition in found}) == 1


def test_test_rows_do_not_depend_on_the_folds_asked_for():
    data = dataset_of(two_classes())
    splitters = [3, 5, KFold(4), ShuffleSplit(2, random_state=0)]
    digests = {split_of(data, cv=cv).test_digest for cv in splitters}
    assert len(digests) == 1


def test_another_test_size_has_another_digest():
    data = dataset_of(two_classes())
    one, other = (split_of(data, test_size=size) for size in (0.2, 0.3))
    assert one.test_digest != other.test_digest


def test_without_a_test_set_every_row_is_in_the_folds():
    found = split_of(dataset_of(two_classes()), test_size=0.0)
    assert found.x_test is None
    assert found.test_rows is None
    assert found.test_digest == ""
    assert len(found.y) == 100


def test_a_test_set_of_the_data_is_used_instead_of_cutting_one_off():
    own = {"x_test": np.ones((7, 1)), "y_test": np.zeros(7, int)}
    found = split_of(dataset_of(two_classes(), **own), test_size=0.5)
    assert len(found.y) == 100
    assert len(found.y_test) == 7
    assert found.test_rows is None
    assert "7 rows" in found.test_digest


def test_rows_of_tables_are_taken_by_position():
    y = two_classes()
    frame = pd.DataFrame({"a": np.arange(100.0)}, index=np.arange(100)[::-1])
    found = split_of(Dataset("t", frame, y, Task.BINARY, Kind.TABULAR, ("n", "y")))
    assert found.x["a"].tolist() == found.rows.tolist()


@given(st.integers(6, 15), st.integers(0, 2**31), st.booleans())
def test_groups_are_never_torn_apart(n_groups, seed, has_classes):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.arange(150) % n_groups)
    y = rng.permutation(two_classes(150)) if has_classes else numbers(150)
    task = Task.BINARY if has_classes else Task.REGRESSION
    found = split_of(dataset_of(y, task=task, groups=groups), cv=3, seed=seed)
    kept = groups[found.rows]
    assert not set(kept) & set(groups[found.test_rows])
    for fold in found.folds:
        assert not set(kept[fold.train]) & set(kept[fold.validation])


def test_about_the_share_asked_for_is_held_out_of_groups():
    groups = np.arange(200) // 5
    data = dataset_of(numbers(200), task=Task.REGRESSION, groups=groups)
    found = split_of(data, test_size=0.25)
    assert len(found.test_rows) == pytest.approx(50, abs=5)


@pytest.mark.parametrize("n_groups", [1, 2])
def test_too_few_groups_for_a_test_set_are_an_error(n_groups):
    groups = (np.arange(100) >= 10).astype(int) * (n_groups - 1)
    data = dataset_of(numbers(), task=Task.REGRESSION, groups=groups)
    with pytest.raises(DataError, match=r"groups.*test_size"):
        split_of(data, cv=2, test_size=0.95)


@pytest.mark.parametrize(
    ("cv", "n_folds"),
    [
        (StratifiedKFold(4), 4),
        (ShuffleSplit(n_splits=1, test_size=0.25, random_state=0), 1),
        (ShuffleSplit(n_splits=3, random_state=0), 3),
        (TimeSeriesSplit(4), 4),
        (RepeatedKFold(n_splits=3, n_repeats=2, random_state=0), 6),
        (PredefinedSplit(np.arange(80) % 4), 4),
        (PredefinedSplit(np.where(np.arange(80) < 20, 0, -1)), 1),
    ],
)
def test_any_splitter_of_scikit_learn_makes_the_folds(cv, n_folds):
    y = np.random.default_rng(0).permutation(two_classes(100, 0.5))
    found = split_of(dataset_of(y), cv=cv)
    assert [fold.index for fold in found.folds] == list(range(n_folds))
    for fold in found.folds:
        assert not set(fold.train) & set(fold.validation)


def test_a_splitter_gets_the_groups():
    groups = np.arange(60) % 6
    data = dataset_of(numbers(60), task=Task.REGRESSION, groups=groups)
    found = split_of(data, cv=GroupKFold(3), test_size=0.0)
    for fold in found.folds:
        assert not set(groups[fold.train]) & set(groups[fold.validation])


def test_time_is_respected_by_a_splitter_of_time():
    data = dataset_of(numbers(), task=Task.REGRESSION)
    for fold in split_of(data, cv=TimeSeriesSplit(3), test_size=0.0).folds:
        assert fold.train.max() < fold.validation.min()


def test_several_targets_are_split_without_stratifying():
    labels = np.random.default_rng(0).integers(0, 2, (50, 3))
    folds = make_folds(5, labels, task=Task.MULTILABEL)
    assert [len(fold.validation) for fold in folds] == [10] * 5


def test_a_class_with_fewer_rows_than_folds_is_an_error():
    y = np.r_[np.zeros(50, int), np.ones(50, int), np.full(3, 2)]
    data = dataset_of(y, task=Task.MULTICLASS)
    with pytest.raises(DataError, match=r"class 'c' has 3 rows.*`cv` of at most 3"):
        split_of(data, cv=5, test_size=0.0)


def test_a_class_with_one_row_cannot_be_held_out():
    y = np.r_[np.zeros(50, int), 1]
    with pytest.raises(DataError, match=r"cannot hold out test_size=0\.2 of 51 rows"):
        split_of(dataset_of(y))


@pytest.mark.parametrize("rare", [0, 1, 2])
def test_a_class_that_is_only_in_the_test_set_is_an_error(rare):
    """Whole groups are held out, and with them a class may be."""
    y = (np.arange(120) // 12 % 2 + rare + 1) % 3
    groups = np.arange(120) // 12
    first = split_of(dataset_of(numbers(120), task=Task.REGRESSION, groups=groups))
    y[first.test_rows] = rare
    data = dataset_of(y, task=Task.MULTICLASS, groups=groups)
    with pytest.raises(DataError, match=f"class {rare} has 0 rows"):
        split_of(data, cv=2)
    with pytest.raises(DataError, match=f"class {rare} has 0 rows"):
        split_of(data, cv=GroupKFold(2))


def test_too_few_rows_are_an_error():
    data = dataset_of(numbers(7), task=Task.REGRESSION)
    with pytest.raises(DataError, match="7 rows are too few for 4 folds"):
        split_of(data, cv=4, test_size=0.0)


def test_a_splitter_that_rejects_the_rows_is_named():
    data = dataset_of(numbers(3), task=Task.REGRESSION)
    with pytest.raises(ExperimentError, match=r"KFold\(n_splits=10.* cannot split"):
        split_of(data, cv=KFold(10), test_size=0.0)


def test_a_splitter_for_more_rows_than_are_left_is_an_error():
    """Made for all rows, it would name rows that the test set has taken."""
    data = dataset_of(two_classes())
    with pytest.raises(ExperimentError, match=r"80 rows.*test_size=0\.0"):
        split_of(data, cv=PredefinedSplit(np.arange(100) % 5))


class FixedSplitter:
    def __init__(self, *pairs):
        self.pairs = pairs

    def split(self, x, y=None, groups=None):
        return iter(self.pairs)


def test_a_fold_with_an_empty_side_is_an_error():
    cv = FixedSplitter((np.arange(50), np.array([], int)))
    with pytest.raises(ExperimentError, match="fold 0 has an empty side"):
        split_of(dataset_of(numbers(), task=Task.REGRESSION), cv=cv)


def test_a_splitter_without_folds_is_an_error():
    with pytest.raises(ExperimentError, match="yields no folds"):
        split_of(dataset_of(numbers(), task=Task.REGRESSION), cv=FixedSplitter())


def test_a_fold_that_validates_on_its_training_rows_is_an_error():
    cv = FixedSplitter((np.arange(50), np.arange(40, 60)))
    with pytest.raises(ExperimentError, match="fold 0 validates on 10 rows it trains"):
        split_of(dataset_of(numbers(), task=Task.REGRESSION), cv=cv)


def test_a_fold_without_training_rows_of_a_class_is_an_error():
    with pytest.raises(DataError, match="fold 1 has no training row of class 'b'"):
        split_of(dataset_of(two_classes()[::-1]), cv=KFold(2), test_size=0.0)


def test_rows_know_the_last_fold_that_validates_on_them():
    cv = PredefinedSplit([0, 0, 1, 1, -1, -1])
    folds = make_folds(cv, numbers(6), task=Task.REGRESSION)
    assert fold_of_rows(folds, 6).tolist() == [0, 0, 1, 1, -1, -1]
