import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import ktune.data
from ktune.data import load_data
from ktune.data.dataset import Dataset, Kind, Task
from ktune.errors import DataError

X = np.arange(12, dtype=float).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])
FRAME = pd.DataFrame({"a": X[:, 0], "city": list("xyxyxy"), "id": range(6), "y": Y})


def test_two_arrays_make_a_data_set():
    dataset = load_data((X, Y), name="mine")
    assert (dataset.name, dataset.task, dataset.kind) == (
        "mine",
        Task.BINARY,
        Kind.TABULAR,
    )
    assert dataset.n_outputs == 2
    assert dataset.x_test is None


def test_four_arrays_bring_their_own_test_set():
    dataset = load_data((X, ["b", "a"] * 3, X[:2], ["a", "b"]))
    assert dataset.y_test.tolist() == [0, 1]
    assert dataset.x_test.shape == (2, 2)


def test_the_pairs_of_keras_datasets_are_understood():
    dataset = load_data(((X, Y), (X[:2], Y[:2])))
    assert dataset.n_rows == 6
    assert len(dataset.y_test) == 2


def test_several_inputs_are_understood():
    dataset = load_data(({"left": X, "right": X[:, 0]}, Y))
    assert dataset.kind is Kind.SEVERAL
    assert dataset.x["right"].shape == (6, 1)


def test_a_table_is_taken_apart_by_column_names():
    source = ktune.data.table(FRAME, target="y", drop=["id"])
    dataset = load_data(source)
    assert dataset.feature_names == ("a", "city")
    assert dataset.y.tolist() == Y.tolist()


def test_a_table_may_have_several_targets_and_groups():
    frame = FRAME.assign(z=[1, 1, 1, 0, 0, 0])
    source = ktune.data.table(frame, target=["y", "z"], groups="city")
    dataset = load_data(source)
    assert dataset.task is Task.MULTILABEL
    assert dataset.class_names == ("y", "z")
    assert dataset.groups.tolist() == [0, 1, 0, 1, 0, 1]
    assert dataset.feature_names == ("a", "id")


def test_the_columns_of_a_test_table_may_stand_in_another_order():
    test = FRAME[["y", "id", "city", "a"]].head(2)
    dataset = load_data(ktune.data.table(FRAME, target="y", test=test))
    assert list(dataset.x_test.columns) == list(dataset.x.columns)


def test_functions_may_return_anything_that_is_data():
    assert load_data(lambda: (X, Y)).n_rows == 6
    assert load_data(lambda: ktune.data.arrays(X, Y)).name == "arrays"
    assert load_data(ktune.data.iris).name == "iris"

    def rows():
        return X, Y

    assert load_data(rows).name == "rows"


def test_a_data_set_passes_through():
    dataset = load_data((X, Y))
    assert load_data(dataset) is dataset


def test_a_task_replaces_what_the_targets_suggest():
    assert load_data((X, Y), task="regression").task is Task.REGRESSION
    source = ktune.data.table(FRAME, target="y")
    assert load_data(source, task="regression").task is Task.REGRESSION
    assert load_data(ktune.data.arrays(X, Y), task="multiclass").n_outputs == 2


def test_nothing_is_checked_before_loading():
    source = ktune.data.arrays([], [])
    with pytest.raises(DataError):
        source.load()


@pytest.mark.parametrize(
    "source",
    [
        ktune.data.mnist(),
        ktune.data.fashion_mnist(),
        ktune.data.digits(),
        ktune.data.wine(),
        ktune.data.arrays(X, Y),
        ktune.data.table(FRAME, target="y"),
    ],
    ids=lambda source: type(source).__name__,
)
def test_sources_can_be_sent_to_another_process(source):
    assert type(pickle.loads(pickle.dumps(source))) is type(source)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (FRAME, r"ktune\.data\.table\(frame, target="),
        ("digits.csv", r"ktune\.data\.csv\('digits\.csv', target="),
        ((X, Y, X), "weights have shape"),
        ((X, Y, X, Y, X), "got a tuple of 5 items"),
        (42, "got int"),
        (lambda: None, "got NoneType"),
        (lambda: 1 / 0, r"<lambda>\(\) failed: ZeroDivisionError"),
        ((X, Y[:3]), "6 rows of features but 3 targets"),
        ((X, Y, X, None), "the targets are missing"),
        ((X, Y, X[:, :1], Y), r"has shape \(1,\), a training row \(2,\)"),
        ((X, Y, X[:1], [5]), r"arrays \(test set\): target 5"),
        ((X, Y, FRAME[["a"]], Y), "in the same form"),
        (ktune.data.table(FRAME, target="yy"), "no column 'yy'.*Did you mean 'y'"),
        (ktune.data.arrays(X, Y, task="binry"), "Did you mean 'binary'"),
        (ktune.data.arrays(X, Y, kind="picture"), "kind must be one of"),
        (ktune.data.arrays(X, Y, groups=[1]), "groups need one label"),
    ],
)
def test_unsupported_data_are_explained(data, message):
    with pytest.raises(DataError, match=message):
        load_data(data)


def test_duplicate_target_columns_are_refused():
    frame = pd.DataFrame([[1.0, 0, 1]], columns=["a", "y", "y"])
    with pytest.raises(DataError, match="'y' occurs 2 times"):
        load_data(ktune.data.table(frame, target="y"))


def test_a_test_table_without_a_column_is_refused():
    test = FRAME.drop(columns="city")
    with pytest.raises(DataError, match="'city' is not in the test table"):
        load_data(ktune.data.table(FRAME, target="y", test=test))


def test_a_source_that_loads_something_else_is_refused():
    class Wrong:
        def load(self):
            return X, Y

    with pytest.raises(DataError, match="must return a ktune.data.dataset.Dataset"):
        load_data(Wrong())


def test_a_task_cannot_recode_a_finished_data_set():
    with pytest.raises(DataError, match="Leave `task` out"):
        load_data(ktune.data.iris(), task="regression")


@pytest.mark.parametrize(
    ("make", "rows", "task", "n_outputs"),
    [
        (ktune.data.digits, 1797, Task.MULTICLASS, 10),
        (ktune.data.breast_cancer, 569, Task.BINARY, 2),
        (ktune.data.wine, 178, Task.MULTICLASS, 3),
        (ktune.data.iris, 150, Task.MULTICLASS, 3),
        (ktune.data.diabetes, 442, Task.REGRESSION, 1),
    ],
)
def test_bundled_sets_are_what_they_say(make, rows, task, n_outputs):
    dataset = make().load()
    assert isinstance(dataset, Dataset)
    assert (dataset.n_rows, dataset.task, dataset.n_outputs) == (rows, task, n_outputs)


def test_digits_are_images_from_zero_to_one():
    x = ktune.data.digits().load().x
    assert x.shape == (1797, 8, 8)
    assert (x.min(), x.max()) == (0.0, 1.0)


@given(
    x=arrays_of.arrays(
        st.sampled_from([np.float32, np.float64, np.int16, np.uint64]),
        st.tuples(st.integers(2, 5), st.integers(1, 4)),
        elements={"min_value": 0, "max_value": 100},
    )
)
def test_the_digest_does_not_depend_on_byte_order_or_layout(x):
    y = np.arange(len(x)) % 2
    digest = load_data((x, y), task="multiclass").digest
    swapped = x.astype(x.dtype.newbyteorder(">"))
    assert load_data((swapped, y), task="multiclass").digest == digest
    assert load_data((np.asfortranarray(x), y), task="multiclass").digest == digest


def test_the_digest_sees_every_value():
    other = X.copy()
    other[3, 1] += 1e-9
    digests = {
        load_data(data).digest
        for data in ((X, Y), (other, Y), (X, 1 - Y), (X, Y, X, Y), (X[::-1], Y))
    }
    assert len(digests) == 5


def test_the_digest_is_the_same_in_another_process():
    code = "import ktune.data; print(ktune.data.wine().load().digest)"
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == ktune.data.wine().load().digest


def test_importing_the_sources_loads_nothing_heavy():
    code = (
        "import sys, ktune.data; "
        "print(*{'sklearn', 'keras', 'tensorflow', 'mlxtend', 'PIL'} & {*sys.modules})"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == ""
