"""Rows that a registered model refuses, without Keras."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from ktune.tracking.store import quiet_mlflow


@pytest.fixture
def served():
    """A model of rows with two numbers."""
    with quiet_mlflow():
        from ktune.models.registry.served_model import ServedModel
    model = ServedModel()
    model.spec = {
        "input_names": [],
        "columns": [],
        "input_shape": [2],
        "keeps_integers": False,
        "scale": None,
        "text_columns": [],
    }
    model.transformer = None
    return model


def as_rows(rows):
    return np.array([*rows, None], dtype=object)[:-1]


@pytest.mark.parametrize(
    ("rows", "number"),
    [([[1, 2], [3, 4], [5]], 2), ([[1], [2, 3]], 1), ([[[1], [2, 3]], [1, 2]], 0)],
)
def test_ragged_rows_are_refused_with_the_first_one(served, rows, number):
    with pytest.raises(MlflowException, match=f"ragged: row {number} has another"):
        served._array(as_rows(rows))


@pytest.mark.parametrize("number", [1e39, -1e300])
def test_numbers_beyond_32_bits_are_refused(served, number):
    rows = np.array([[1.0, 2.0], [3.0, number]])
    with pytest.raises(MlflowException, match="a number of row 1 is too large"):
        served._numbers(rows)


def test_infinite_and_missing_numbers_stay_as_they_are(served):
    rows = np.array([[np.inf, 2.0], [np.nan, -np.inf]])
    np.testing.assert_array_equal(served._numbers(rows), rows.astype(np.float32))


def test_integers_beyond_64_bits_are_refused_in_a_table(served):
    served.spec |= {"columns": ["a", "b"]}
    table = pd.DataFrame({"a": [1, 10**400], "b": [1, 2]}, dtype=object)
    with pytest.raises(MlflowException, match="column 'a'"):
        served._table(table)


def test_a_model_opened_after_another_brings_code_that_has_a_file(tmp_path):
    """Both versions have a module of one name; the first folder is deleted."""
    with quiet_mlflow():
        from ktune.models.registry.served_model import import_objects
    wanted = {"double": ["code_of_version", "double"]}
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "code_of_version.py").write_text(f"def double(x): return '{name}'")
        found = import_objects(folder, wanted)
        assert found["double"](1) == name
        file = Path(sys.modules["code_of_version"].__file__)
        assert file.parent == folder
        shutil.rmtree(folder)
    del sys.modules["code_of_version"]
