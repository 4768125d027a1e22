import numpy as np
import pandas as pd
import pytest

from ktune.data.dataset import Kind
from ktune.data.features import as_inputs, infer_kind
from ktune.errors import DataError


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (np.zeros((3, 4)), Kind.TABULAR),
        (np.zeros((3, 4), dtype=int), Kind.TABULAR),
        (np.zeros((3, 4, 4), dtype=np.uint8), Kind.IMAGE),
        (np.zeros((3, 4, 4, 1)), Kind.IMAGE),
        (np.zeros((3, 4, 2)), Kind.SEQUENCE),
        ([[1.0], [2.0]], Kind.TABULAR),
        (pd.DataFrame({"a": [1.0]}), Kind.TABULAR),
        ({"a": np.zeros((3, 2)), "b": np.zeros(3)}, Kind.SEVERAL),
    ],
)
def test_the_kind_is_read_off_the_features(x, kind):
    assert as_inputs(x, name="data")[1] is kind


def test_token_numbers_are_a_sequence_when_said_so():
    x, kind = as_inputs(np.arange(6).reshape(2, 3), name="data", kind=Kind.SEQUENCE)
    assert kind is Kind.SEQUENCE
    assert x.dtype.kind == "i"


def test_a_table_keeps_text_as_objects_and_numbers_as_numbers():
    frame = pd.DataFrame(
        {
            1: pd.array([1, None], dtype="Int64"),
            "city": pd.Categorical(["Ulm", None]),
            "name": pd.array(["x", None], dtype="string"),
            "is_new": [True, False],
        },
        index=[7, 7],
    )
    x, _ = as_inputs(frame, name="data")
    assert list(x.columns) == ["1", "city", "name", "is_new"]
    assert [x[column].dtype.kind for column in x] == ["f", "O", "O", "b"]
    assert x["city"].isna().tolist() == x["name"].isna().tolist() == [False, True]
    assert x.index.tolist() == [0, 1]


def test_mixed_nested_lists_become_a_table():
    x, kind = as_inputs([["a", 1.5], ["b", 2.5]], name="data")
    assert kind is Kind.TABULAR
    assert isinstance(x, pd.DataFrame)
    assert x["column_1"].tolist() == [1.5, 2.5]


def test_foreign_byte_order_becomes_native():
    x, _ = as_inputs(np.array([[1.0, 2.0]], dtype=">f4"), name="data")
    assert x.dtype.isnative


def test_inputs_of_rank_one_become_columns():
    x, _ = as_inputs({"age": [1.0, 2.0], "image": np.zeros((2, 8, 8))}, name="data")
    assert {name: part.shape for name, part in x.items()} == {
        "age": (2, 1),
        "image": (2, 8, 8),
    }


def test_videos_are_images_of_bytes_or_sequences_of_numbers():
    assert infer_kind(np.zeros((1, 2, 3, 4, 5), np.uint8), name="data") is Kind.IMAGE
    assert infer_kind(np.zeros((1, 2, 3, 4, 5)), name="data") is Kind.SEQUENCE


def test_missing_numbers_of_a_table_are_allowed():
    x, _ = as_inputs(np.array([[1.0, np.nan]]), name="data")
    assert np.isnan(x[0, 1])


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (np.zeros((0, 3)), None, "empty"),
        (np.zeros((3, 0)), None, "empty"),
        ([1.0, 2.0], None, r"reshape\(-1, 1\)"),
        ([[1.0], [1.0, 2.0]], None, "ragged"),
        (np.array([[1], [1, 2]], dtype=object), None, "shape"),
        (np.array([[1.0, np.inf]]), None, "infinite, the first in row 0, column 1"),
        (np.full((2, 4, 4, 1), np.nan), None, "NaN or infinite, the first in row 0"),
        (np.zeros((2, 2), dtype=complex), None, "type complex128"),
        ({}, None, "empty"),
        ({"a": np.zeros((2, 1)), "b": np.zeros((3, 1))}, None, "different numbers"),
        ({"a": np.array([["x"]])}, None, "input 'a' holds text"),
        (np.array([["a", "b"]]), Kind.SEQUENCE, "ragged rows or text"),
        (np.zeros((2, 2)), Kind.SEVERAL, "needs a dict"),
        (
            pd.DataFrame({"a": [1.0, -np.inf]}),
            None,
            "column 'a' is infinite in 1 row, first row 1",
        ),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), None, "'a' occurs 2 times"),
        (pd.DataFrame({"a": []}), None, "0 rows and 1 feature columns"),
        (pd.DataFrame(index=[0, 1]), None, "2 rows and 0 feature columns"),
        (pd.DataFrame({"d": pd.to_datetime(["2020-01-01"])}), None, "holds dates"),
        (pd.DataFrame({"l": [[1, 2]]}), None, "'l' holds lists"),
    ],
)
def test_malformed_features_are_explained(x, kind, message):
    with pytest.raises(DataError, match=message):
        as_inputs(x, name="data", kind=kind)


def test_sparse_features_are_refused_with_the_remedy():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DataError, match="toarray"):
        as_inputs(sparse.eye(3).tocsr(), name="data")
