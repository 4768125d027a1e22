import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktune.data.coding import make_coding
from ktune.data.dataset import Task
from ktune.errors import DataError


def coded(y, **options):
    coding = make_coding(y, name="data", **options)
    return coding, coding.encode(y, name="data")


LABELS = st.one_of(
    st.lists(st.text(max_size=5), min_size=2, max_size=8, unique=True),
    st.lists(st.booleans(), min_size=2, max_size=2, unique=True),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=8, unique=True),
    st.lists(st.integers(-128, 127), min_size=2, max_size=8, unique=True).map(
        lambda labels: list(np.array(labels, dtype=np.int8))
    ),
)


@given(labels=LABELS, data=st.data())
def test_class_numbers_and_names_give_the_labels_back(labels, data):
    more = data.draw(st.lists(st.sampled_from(labels), max_size=20))
    y = data.draw(st.permutations([*labels, *labels, *more]))

    coding, numbers = coded(y)

    assert coding.task is (Task.BINARY if len(labels) == 2 else Task.MULTICLASS)
    assert [coding.class_names[number] for number in numbers] == [str(v) for v in y]
    assert list(coding.class_names) == [str(label) for label in sorted(labels)]
    assert numbers.dtype == np.int64


@given(
    numbers=st.lists(st.integers(0, 4), min_size=10, max_size=40),
    form=st.sampled_from([bool, np.uint8, np.float32, ">f8"]),
)
def test_one_hot_rows_become_their_class_numbers(numbers, form):
    y = np.array([0, 1, 2, 3, 4, *numbers])
    coding, found = coded(np.eye(5)[y].astype(form))
    assert coding.task is Task.MULTICLASS
    assert found.tolist() == y.tolist()


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (["a", "b", "a"], Task.BINARY),
        (["a", "b", "c"], Task.MULTICLASS),
        ([True, False], Task.BINARY),
        ([-1, 1] * 5, Task.BINARY),
        ([-1.0, 1.0] * 5, Task.BINARY),
        ([3, 5, 8] * 5, Task.MULTICLASS),
        ([1.0, 2.0, 3.0] * 5, Task.MULTICLASS),
        ([10.0, 25.0, 70.0] * 5, Task.REGRESSION),
        ([0.5, 1.0, 1.5] * 5, Task.REGRESSION),
        (list(range(10)), Task.REGRESSION),
        (list(range(100)) * 10, Task.MULTICLASS),
        (list(range(1950, 2020)) * 10, Task.REGRESSION),
        (list(range(30)) * 2, Task.REGRESSION),
        ([[0, 1], [1, 0]], Task.BINARY),
        ([[0, 1, 1], [1, 0, 0]], Task.MULTILABEL),
        ([[0, 0], [1, 0]], Task.MULTILABEL),
        ([[0.5, 2.0], [1.5, 3.0]], Task.REGRESSION),
        (pd.Categorical(["low", "high", "low"]), Task.BINARY),
        (pd.Series([1, 0, 1, 0], dtype="Int64"), Task.BINARY),
        (pd.Series(["x", "y"], dtype="string"), Task.BINARY),
        (np.array([b"x", b"y"]), Task.BINARY),
    ],
)
def test_the_task_is_read_off_the_targets(y, task):
    coding, _ = coded(y)
    assert coding.task is task


def test_a_given_task_beats_the_rules():
    coding, y = coded([1, 2, 3, 4] * 5, task=Task.REGRESSION)
    assert coding.task is Task.REGRESSION
    assert coding.class_names == ()
    assert y.dtype == np.float32
    coding, _ = coded(list(range(30)), task=Task.MULTICLASS)
    assert len(coding.class_names) == 30


def test_text_that_holds_numbers_can_be_regressed():
    _, y = coded(["1.5", "2"], task=Task.REGRESSION)
    assert y.tolist() == [1.5, 2.0]


def test_whole_floats_are_named_like_integers():
    coding, _ = coded([0.0, 1.0, 1.0, 0.0])
    assert coding.class_names == ("0", "1")


def test_labels_of_a_frame_are_named_by_its_columns():
    coding, y = coded(pd.DataFrame({"cat": [1, 0, 1], "dog": [1, 1, 1]}))
    assert coding.class_names == ("cat", "dog")
    assert y.tolist() == [[1, 1], [0, 1], [1, 1]]


def test_a_single_column_is_no_matrix():
    _, y = coded(np.array([[0], [1], [1], [0]]))
    assert y.shape == (4,)


def test_test_targets_follow_the_training_coding():
    coding, _ = coded(["b", "a", "c"])
    assert coding.encode(["c"], name="test").tolist() == [2]


def test_a_class_only_in_the_test_set_is_refused():
    coding, _ = coded(["b", "a"])
    with pytest.raises(DataError, match=r"test: target 'z' \(row 1\) is none of the 2"):
        coding.encode(["a", "z"], name="test")


def test_test_targets_of_another_type_are_refused():
    coding, _ = coded([0, 1, 0, 1])
    with pytest.raises(DataError, match="must be written alike"):
        coding.encode(["0", "1"], name="test")


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        ([0.1, float("nan")], None, "1 targets are missing.*row 1"),
        (["a", None, "b"], None, "1 targets are missing.*row 1"),
        ([0.1, 2.0, float("inf")], None, "infinite, the first in row 2"),
        ([1, 1, 1], None, "all 3 targets are 1: there is only a single class"),
        ([], None, r"shape \(0,\)"),
        (np.zeros((2, 2, 2)), None, r"shape \(2, 2, 2\)"),
        ([[1], [1, 2]], None, "ragged"),
        (np.array([[1], [1, 2]], dtype=object), None, "objects of type list"),
        (["a", 1, "b"], None, "mix number, text"),
        (np.array(["2020", "2021"], dtype="M8[Y]"), None, "type datetime64"),
        (["a", "b"], Task.REGRESSION, "must be numbers"),
        ([1e300, 0.5], Task.REGRESSION, "too large for a 32-bit float"),
        (["a", "b", "c"], Task.BINARY, "needs two classes; the targets have 3"),
        ([[0, 1, 1], [1, 0, 0]], Task.MULTICLASS, "a single 1"),
        ([[0, 2], [1, 0]], Task.MULTILABEL, "0 and 1 only"),
        ([0, 1], Task.MULTILABEL, r"needs shape \(n, k\)"),
        ([[1, 0, 0], [0, 0, 1]], None, "no training row is of class '1'"),
    ],
)
def test_malformed_targets_are_explained(y, task, message):
    with pytest.raises(DataError, match=message):
        coded(y, task=task)


def test_class_names_must_be_as_many_as_the_classes():
    with pytest.raises(DataError, match="2 classes, but 3 different class names"):
        coded([0, 1, 0, 1], class_names=("a", "b", "c"))
