"""Validation of features, and their kind.

The kind inferred from the features, unless ``kind=`` is set:

| features | kind |
|---|---|
| a DataFrame; an array of rank 2 (rows × columns) | tabular |
| an array of rank 4; of any rank above 2 and type uint8 | image |
| an array of another rank above 2 and of any other type | sequence |
| a dict of arrays | several |
| a dict of a table and images, from a source with ``images=`` | table_and_images |

An integer array of rank 2 is an array of tokens only with ``kind="sequence"``.
"""

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.coding import as_plain_array
from ktune.data.dataset import Inputs, Kind, count_rows
from ktune.data.table_and_images import TABLE, check_table_and_images
from ktune.errors import DataError
from ktune.utils.text import count_of


def as_inputs(x: Any, *, name: str, kind: Kind | None = None) -> tuple[Inputs, Kind]:
    """Validate features and convert them to one of the forms of ``Dataset.x``.

    Args:
        x: An array, nested lists, a DataFrame, or a dict of arrays.
        name: Name of the data, for messages.
        kind: Kind of the features; None: inferred from shape and type.

    Returns:
        The features and their kind. Numbers are in native byte order.

    Raises:
        DataError: The features are empty, ragged, infinite, or of an unsupported type.
    """
    if kind is Kind.TABLE_AND_IMAGES:
        check_table_and_images(x, name=name)
        return {**x, TABLE: as_table(x[TABLE], name=name)}, kind
    if isinstance(x, Mapping):
        return _as_several(x, name), Kind.SEVERAL
    if isinstance(x, pd.DataFrame) and kind in (None, Kind.TABULAR):
        return as_table(x, name=name), Kind.TABULAR
    array = _as_array(x, name)
    kind = kind or infer_kind(array, name=name)
    if kind is Kind.SEVERAL:
        raise DataError(
            f"{name}: kind 'several' needs a dict of arrays, one per model input; got "
            f"an array of shape {array.shape}."
        )
    if array.dtype == object:
        return _table_of_objects(array, kind, name), kind
    _check_finite(array, name, allow_missing=kind is Kind.TABULAR)
    return array, kind


def infer_kind(x: np.ndarray, *, name: str) -> Kind:
    """Return the kind inferred from rank and type of an array.

    Rows of four axes, such as videos, are images if they hold bytes, else sequences.

    Raises:
        DataError: A row is a single number.
    """
    if x.ndim == 1:
        raise DataError(
            f"{name}: features have shape {x.shape}. For a single feature use "
            "X.reshape(-1, 1)."
        )
    if x.ndim == 2:
        return Kind.TABULAR
    if x.ndim == 4 or x.dtype == np.uint8:
        return Kind.IMAGE
    return Kind.SEQUENCE


def as_table(frame: pd.DataFrame, *, name: str) -> pd.DataFrame:
    """Validate a table and return it with plain column types and a new index.

    Raises:
        DataError: Columns are duplicate or infinite, or contain dates or objects.
    """
    columns = [str(column) for column in frame.columns]
    duplicate = {column for column in columns if columns.count(column) > 1}
    if duplicate:
        raise DataError(
            f"{name}: column {min(duplicate)!r} occurs {columns.count(min(duplicate))} "
            "times. Rename or drop the duplicates."
        )
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        raise DataError(
            f"{name}: the table has {frame.shape[0]} rows and {frame.shape[1]} feature "
            "columns; at least one of each is needed."
        )
    plain = {
        column: _plain_column(frame.iloc[:, position], column, name)
        for position, column in enumerate(columns)
    }
    return pd.DataFrame(plain)


def check_same_form(x: Inputs, x_test: Inputs, *, name: str) -> Inputs:
    """Return the test features in the order of the training columns.

    Raises:
        DataError: The test features differ from the training features in columns,
            input names, shape of a row, or type.
    """
    if type(x) is not type(x_test):
        raise DataError(
            f"{name}: the test features are a {type(x_test).__name__}, the training "
            f"features a {type(x).__name__}. Give both in the same form."
        )
    if isinstance(x, pd.DataFrame) and isinstance(x_test, pd.DataFrame):
        return _in_order_of(x, x_test, name)
    if isinstance(x, Mapping) and isinstance(x_test, Mapping):
        return {key: _same_part(x[key], x_test.get(key), key, name) for key in x}
    return _same_shape(np.asarray(x), np.asarray(x_test), "the test features", name)


def _as_array(x: Any, name: str) -> np.ndarray:
    if hasattr(x, "toarray"):
        raise DataError(
            f"{name}: sparse features are not supported. Use X.toarray(), or fewer "
            "columns."
        )
    try:
        array = as_plain_array(x)
    except ValueError as error:
        raise DataError(
            f"{name}: the features are ragged, rows have different lengths. Pad them "
            "to one shape."
        ) from error
    if array.size == 0:
        raise DataError(
            f"{name}: the features are empty, their shape is {array.shape}."
        )
    if array.dtype.kind in "USTO":
        return array.astype(object)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: features of type {array.dtype} cannot be learned from. Give "
            "numbers, or a DataFrame with text columns."
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _as_several(x: Mapping[str, Any], name: str) -> dict[str, np.ndarray]:
    if not x:
        raise DataError(f"{name}: the dict of features is empty.")
    parts = {key: _as_array(part, f"{name}: input {key!r}") for key, part in x.items()}
    rows = {key: len(part) for key, part in parts.items()}
    if len(set(rows.values())) > 1:
        raise DataError(f"{name}: the inputs have different numbers of rows: {rows}.")
    for key, part in parts.items():
        where = f"{name}: input {key!r}"
        if part.dtype == object:
            raise DataError(f"{where} holds text or objects; numbers are needed.")
        # Missing values of several inputs are not imputed.
        _check_finite(part, where, allow_missing=False)
    return {k: p.reshape(-1, 1) if p.ndim == 1 else p for k, p in parts.items()}


def _table_of_objects(x: np.ndarray, kind: Kind, name: str) -> pd.DataFrame:
    """Return an array of text and numbers as a table; refuse other objects."""
    has_scalars = all(np.ndim(item) == 0 for item in x.flat)
    if kind is not Kind.TABULAR or x.ndim != 2 or not has_scalars:
        raise DataError(
            f"{name}: the features are an array of Python objects of shape {x.shape}: "
            "ragged rows or text. Give numbers of one shape, or a DataFrame."
        )
    frame = pd.DataFrame(x).infer_objects()
    return as_table(frame.rename(columns=lambda index: f"column_{index}"), name=name)


def _plain_column(column: pd.Series, label: str, name: str) -> np.ndarray | pd.Series:
    kind = "text"
    if pd.api.types.is_bool_dtype(column) and not column.isna().any():
        return column.to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(column):
        return _plain_numbers(column, label, name)
    if pd.api.types.is_datetime64_any_dtype(column) or column.dtype.kind in "mM":
        kind = "dates or durations"
    elif isinstance(_first_item(column), datetime.time):
        kind = "clock times"
    elif not _holds_categories(column):
        kind = "lists or other objects"
    if kind != "text":
        raise DataError(
            f"{name}: column {label!r} holds {kind}. Turn it into numbers or text "
            "(for dates for instance year, month and weekday; for clock times hours), "
            "or drop it."
        )
    values = column.astype(object)
    return values.where(column.notna(), None).reset_index(drop=True)


def _first_item(column: pd.Series) -> Any:
    known = column.dropna()
    return known.iloc[0] if len(known) else None


def _plain_numbers(column: pd.Series, label: str, name: str) -> np.ndarray:
    has_missing = bool(column.isna().any())
    is_float = has_missing or pd.api.types.is_float_dtype(column)
    numbers = (
        column.to_numpy(dtype=np.float64, na_value=np.nan)
        if has_missing or not isinstance(column.dtype, np.dtype)
        else column.to_numpy()
    )
    if numbers.dtype.kind == "c":
        raise DataError(f"{name}: column {label!r} holds complex numbers.")
    if is_float and np.isinf(numbers).any():
        rows = np.flatnonzero(np.isinf(numbers))
        raise DataError(
            f"{name}: column {label!r} is infinite in {count_of(len(rows), 'row')}, "
            f"first row {rows[0]}. Correct it, or make it missing (NaN): missing "
            "numbers are imputed."
        )
    return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)


def _holds_categories(column: pd.Series) -> bool:
    try:
        items = column.dropna().unique()
    except TypeError:  # lists, sets and the like have no hash
        return False
    return all(
        isinstance(item, str | bool | int | float | np.generic) for item in items
    )


def _check_finite(x: np.ndarray, name: str, *, allow_missing: bool) -> None:
    if x.dtype.kind != "f" or np.isfinite(x).all():
        return
    bad = np.isinf(x) if allow_missing else ~np.isfinite(x)
    if not bad.any():
        return
    position = tuple(int(index) for index in np.argwhere(bad)[0])
    column = f", column {position[1]}" if x.ndim == 2 else ""
    wrong = "infinite" if allow_missing else "NaN or infinite"
    raise DataError(
        f"{name}: {int(bad.sum())} feature values are {wrong}, the first in row "
        f"{position[0]}{column}. Correct them or remove those rows"
        + ("; missing values (NaN) are imputed." if allow_missing else ".")
    )


def _in_order_of(x: pd.DataFrame, x_test: pd.DataFrame, name: str) -> pd.DataFrame:
    missing = [column for column in x.columns if column not in x_test.columns]
    unknown = [column for column in x_test.columns if column not in x.columns]
    if missing or unknown:
        side, column = ("not in", missing[0]) if missing else ("only in", unknown[0])
        raise DataError(
            f"{name}: column {column!r} is {side} the test table. Training and test "
            "tables need the same columns."
        )
    for column in x.columns:
        if (x[column].dtype == object) != (x_test[column].dtype == object):
            raise DataError(
                f"{name}: column {column!r} holds numbers in one of training and test "
                "table, and text in the other."
            )
    return x_test[list(x.columns)]


def _same_part(train: Any, test: Any, what: str, name: str) -> Any:
    if isinstance(train, pd.DataFrame):
        return _in_order_of(train, test, name)
    return _same_shape(train, test, what, name)


def _same_shape(
    train: np.ndarray, test: np.ndarray | None, what: str, name: str
) -> np.ndarray:
    if test is None:
        raise DataError(f"{name}: input {what!r} is missing in the test features.")
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{name}: a row of {what} has shape {test.shape[1:]}, a training row "
            f"{train.shape[1:]}."
        )
    return test


def check_row_counts(x: Inputs, y: np.ndarray, *, name: str) -> None:
    """Check that features and targets have the same number of rows.

    Raises:
        DataError: The numbers differ.
    """
    if count_rows(x) != len(y):
        raise DataError(
            f"{name}: there are {count_rows(x)} rows of features but {len(y)} targets."
        )
