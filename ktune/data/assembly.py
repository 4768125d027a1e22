"""Assemble and validate a data set, for all sources."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ktune.data.coding import TargetCoding, make_coding
from ktune.data.custom_targets import CustomCoding, is_custom, make_custom_coding
from ktune.data.dataset import Dataset, Inputs, Kind, Task, count_rows, take_rows
from ktune.data.features import as_inputs, check_row_counts, check_same_form
from ktune.data.model_inputs import by_position
from ktune.data.nest import structure_of
from ktune.data.table_and_images import table_of
from ktune.data.unsupported import check_forms, count_given
from ktune.errors import DataError
from ktune.utils.text import did_you_mean


def assemble(
    x: Any,
    y: Any,
    *,
    name: str,
    x_test: Any = None,
    y_test: Any = None,
    task: str | None = None,
    kind: str | None = None,
    class_names: tuple[str, ...] = (),
    groups: Any = None,
    times: Any = None,
    weights: Any = None,
    weights_test: Any = None,
) -> Dataset:
    """Validate features and targets, encode the targets, and return the data set.

    Args:
        x: Features of n rows: an array, a DataFrame, or a dict or list of arrays.
        y: Targets, shape (n,) or (n, k), see `ktune.data.coding`; others see
            `ktune.data.custom_targets`.
        name: Name of the data set, recorded with every search.
        x_test: Features of the test set; None: no test set.
        y_test: Targets of the test set, in the form of ``y``.
        task: Name of a `Task`; None: inferred from the targets.
        kind: Name of a `Kind`; None: inferred from the features.
        class_names: Names of the sorted labels.
        groups: One label for each row; rows of a group are never split.
        times: A number or date for each row; the rows are sorted by it.
        weights: A number for each row, its weight in training and scores.
        weights_test: Weights of the test set.

    Raises:
        DataError: The data are malformed; the message says where and how to correct
            them.
    """
    y, y_test = structure_of(y), structure_of(y_test)
    x = by_position(x, count_given(y))
    check_forms(x, name=name)
    wanted_task = None if task is None else as_task(task)
    inputs, found_kind = as_inputs(x, name=name, kind=_as_kind(kind))
    coding = _make_coding(y, inputs, name, wanted_task, class_names)
    targets = coding.encode(y, name=name)
    check_row_counts(inputs, targets, name=name)
    dataset = Dataset(
        name=name,
        x=inputs,
        y=targets,
        task=coding.task,
        kind=found_kind,
        class_names=coding.class_names,
        feature_names=_feature_names(inputs),
        groups=None if groups is None else _as_groups(groups, len(targets), name),
        weights=None if weights is None else as_weights(weights, len(targets), name),
    )
    if times is not None:
        dataset = _in_time_order(dataset, times)
    if x_test is None and y_test is None:
        return dataset
    dataset = _with_test_set(dataset, x_test, y_test, coding)
    if weights_test is None or dataset.y_test is None:
        return dataset
    n_rows = len(dataset.y_test)
    found = as_weights(weights_test, n_rows, f"{name} (test set)")
    return replace(dataset, weights_test=found)


def _make_coding(
    y: Any,
    inputs: Inputs,
    name: str,
    task: Task | None,
    class_names: tuple[str, ...],
) -> TargetCoding | CustomCoding:
    if task is Task.CUSTOM:
        return make_custom_coding(y, name=name)
    if not is_custom(y, count_rows(inputs)):
        return make_coding(y, name=name, task=task, class_names=class_names)
    if task is not None:
        raise DataError(
            f"{name}: a {task} task has targets of shape (n,) or (n, k); these are "
            "several arrays, or an array for each row. Leave `task` out: they are "
            "scored by the loss and metrics of the model."
        )
    return make_custom_coding(y, name=name)


def as_weights(weights: Any, n_rows: int, name: str) -> np.ndarray:
    """Return weights of rows as numbers.

    Raises:
        DataError: They are not one positive or zero number for each row.
    """
    if isinstance(weights, Mapping | tuple):
        raise DataError(
            f"{name}: weights for each output are not taken. Give one number for each "
            "row, and weight outputs by loss_weights in model.compile."
        )
    try:
        found = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: weights must be numbers: {error}") from error
    found = found.reshape(-1) if found.size == len(found) else found
    if found.shape != (n_rows,):
        raise DataError(
            f"{name}: weights have shape {found.shape}; ({n_rows},) is needed, one "
            "number for each row."
        )
    bad = np.flatnonzero(~np.isfinite(found) | (found < 0))
    if len(bad) or not found.any():
        row, value = (bad[0], found[bad[0]]) if len(bad) else (0, 0.0)
        raise DataError(
            f"{name}: weights must be 0 or larger, not missing and not all 0; row "
            f"{row} has {value}."
        )
    return found.astype(np.float32)


def weights_as_text(weights: np.ndarray | None) -> str:
    """Return smallest and largest weight; "" if all rows count the same.

    Example:
        >>> weights_as_text(np.array([1.0, 5.0]))
        '1 … 5'
    """
    return "" if weights is None else f"{weights.min():.3g} … {weights.max():.3g}"


def as_task(task: str) -> Task:
    """Return the task of a name.

    Raises:
        DataError: The name is unknown.
    """
    return _member(Task, task, "task")


def _as_kind(kind: str | None) -> Kind | None:
    return None if kind is None else _member(Kind, kind, "kind")


def _member(kinds: Any, word: str, what: str) -> Any:
    known = [str(member) for member in kinds]
    if word in known:
        return kinds(word)
    raise DataError(
        f"{what} must be one of {', '.join(known)}; got {word!r}."
        + did_you_mean(str(word), known)
    )


def _with_test_set(
    dataset: Dataset, x_test: Any, y_test: Any, coding: TargetCoding | CustomCoding
) -> Dataset:
    name = f"{dataset.name} (test set)"
    _check_both(x_test, y_test, name)
    x_test = by_position(x_test, count_given(y_test))
    inputs, _ = as_inputs(x_test, name=name, kind=dataset.kind)
    inputs = check_same_form(dataset.x, inputs, name=name)
    targets = coding.encode(y_test, name=name)
    check_row_counts(inputs, targets, name=name)
    return replace(dataset, x_test=inputs, y_test=targets)


def _feature_names(x: Inputs) -> tuple[str, ...]:
    table = table_of(x)
    return () if table is None else tuple(table.columns)


def _check_both(x_test: Any, y_test: Any, name: str) -> None:
    if x_test is None or y_test is None:
        missing = "features" if x_test is None else "targets"
        raise DataError(f"{name}: the {missing} are missing. Give both, or neither.")


def _in_time_order(dataset: Dataset, times: Any) -> Dataset:
    """Sort the rows by time; rows of the same time keep their order."""
    name = dataset.name
    column = pd.Series(np.asarray(times).ravel()).infer_objects()
    is_time = pd.api.types.is_numeric_dtype(
        column
    ) or pd.api.types.is_datetime64_any_dtype(column)
    if not is_time:
        raise DataError(
            f"{name}: times must be numbers or dates; got {column.iloc[0]!r}. Turn "
            "them into dates, for instance with pandas.to_datetime."
        )
    if len(column) != dataset.n_rows or column.isna().any():
        raise DataError(
            f"{name}: times need one value for each of {dataset.n_rows} rows; got "
            f"{len(column)}, of which {int(column.isna().sum())} are missing."
        )
    if dataset.groups is not None:
        raise DataError(
            f"{name}: rows can be split by groups or by time, not by both. Leave one "
            "out, or give a splitter as `cv`."
        )
    order = np.argsort(column.to_numpy(), kind="stable")
    return replace(
        dataset,
        x=take_rows(dataset.x, order),
        y=dataset.y[order],
        times=pd.factorize(column.to_numpy()[order])[0].astype(np.int64),
        weights=None if dataset.weights is None else dataset.weights[order],
    )


def _as_groups(groups: Any, n_rows: int, name: str) -> np.ndarray:
    """Number the groups, whose labels may be of any type."""
    labels = pd.Series(np.asarray(groups).ravel())
    if len(labels) != n_rows or labels.isna().any():
        raise DataError(
            f"{name}: groups need one label for each of {n_rows} rows; got "
            f"{len(labels)}, of which {int(labels.isna().sum())} are missing."
        )
    return pd.factorize(labels)[0].astype(np.int64)
