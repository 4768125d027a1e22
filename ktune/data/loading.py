"""Load a data set from any value of ``Experiment.data``."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ktune.data.array_source import Arrays
from ktune.data.assembly import as_task
from ktune.data.batches import is_dataset
from ktune.data.dataset import Dataset
from ktune.data.dataset_source import Batches
from ktune.errors import DataError, KtuneError


def load_data(
    data: Any, *, name: str | None = None, task: str | None = None
) -> Dataset:
    """Load the data of an experiment.

    Args:
        data: ``(X, y)``, ``(X, y, weights)``, ``(X, y, X_test, y_test)``, Keras's
            ``((X, y), (X_test, y_test))``, of which each pair may have weights as a
            third part, a source with ``load()``, a `Dataset`, or a function without
            arguments that returns any of these. X may be an
            array, a DataFrame, or a dict of arrays. A ``tf.data.Dataset`` or a
            ``keras.utils.PyDataset`` is read into arrays; so is a pair of them, of
            which the second is the test set.
        name: Name of data without a name of their own.
        task: Task of the targets; None: inferred from them.

    Raises:
        DataError: The data are missing or malformed, or ``data`` is none of these.

    Example:
        >>> load_data(([[0.0], [1.0], [0.1], [0.9]], ["no", "yes"] * 2)).class_names
        ('no', 'yes')
    """
    if isinstance(data, Dataset):
        return _with_task(data, task)
    if is_dataset(data):
        return Batches(data, name=name or "dataset", task=task).load()
    if isinstance(data, tuple | list) and len(data) == 2 and all(map(is_dataset, data)):
        train, test = data
        return Batches(train, test, name=name or "dataset", task=task).load()
    if isinstance(data, tuple | list):
        _check_no_dataset(data)
        return Arrays(**_take_apart(data), name=name or "arrays", task=task).load()
    if callable(getattr(data, "load", None)) and not isinstance(data, type):
        return _load_source(data, task)
    if callable(data):
        result = _call(data)
        if result is not data:
            called = getattr(data, "__name__", "function")
            return load_data(result, name=name or called, task=task)
    raise DataError(_explain(data))


def _load_source(source: Any, task: str | None) -> Dataset:
    if task is not None and getattr(source, "task", task) is None:
        source = dataclasses.replace(source, task=task)
    dataset = source.load()
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"{type(source).__name__}.load() must return a "
            f"ktune.data.dataset.Dataset; it returned {type(dataset).__name__}."
        )
    return _with_task(dataset, task)


def _with_task(dataset: Dataset, task: str | None) -> Dataset:
    if task is not None and dataset.task is not as_task(task):
        raise DataError(
            f"{dataset.name}: the targets are coded for a {dataset.task} task, but the "
            f"experiment says task={task!r}. Leave `task` out, or give the raw arrays."
        )
    return dataset


def _take_apart(data: tuple[Any, ...] | list[Any]) -> dict[str, Any]:
    """Return features, targets, those of the test set, and weights, by name."""
    if len(data) == 2 and _are_train_and_test(*data):
        test = dict(zip(("x_test", "y_test", "weights_test"), data[1], strict=False))
        return {**_take_apart(data[0]), **test}
    if len(data) in (2, 3):
        return dict(zip(("x", "y", "weights"), data, strict=False))
    if len(data) == 4:
        return dict(zip(("x", "y", "x_test", "y_test"), data, strict=True))
    raise DataError(
        "data must be (X, y), (X, y, weights), (X, y, X_test, y_test) or ((X, y, "
        f"weights), (X_test, y_test, weights)); got a {type(data).__name__} of "
        f"{len(data)} items."
    )


def _check_no_dataset(data: tuple[Any, ...] | list[Any]) -> None:
    """Refuse a dataset beside arrays.

    Raises:
        DataError: One part is a dataset.
    """
    if any(map(is_dataset, data)):
        raise DataError(
            "data are a dataset and something else. Training and test set must both be "
            "datasets: (dataset, tf.data.Dataset.from_tensor_slices((X_test, y_test))"
            ".batch(32))."
        )


def _are_train_and_test(first: Any, second: Any) -> bool:
    """Whether two tuples are training and test set, as Keras's data sets have them.

    Tuples of three arrays may also be inputs and outputs, which have as many rows.
    """
    if not all(map(_is_tuple_of_arrays, (first, second))):
        return False
    if len(first) == len(second) == 2:
        return True
    return len({len(part) for part in (*first, *second)}) > 1


def _is_tuple_of_arrays(part: Any) -> bool:
    return (
        isinstance(part, tuple)
        and len(part) in (2, 3)
        and all(hasattr(array, "shape") for array in part)
    )


def _call(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except KtuneError:
        raise
    except (Exception, SystemExit) as error:
        called = getattr(function, "__name__", repr(function))
        raise DataError(
            f"the data function {called}() failed: {type(error).__name__}: {error}"
        ) from error


def _source_of(path: Path) -> str:
    calls = {
        ".csv": "csv({!r}, target='…')",
        ".parquet": "parquet({!r}, target='…')",
        ".npz": "npz({!r})",
    }
    call = calls.get(path.suffix.lower())
    if call is not None:
        return call.format(str(path))
    return "csv(path, target='…'), parquet, npz or image_folder"


def _explain(data: Any) -> str:
    if isinstance(data, pd.DataFrame):
        return (
            "a DataFrame alone does not tell which column is the target. Use "
            "ktune.data.table(frame, target='…')."
        )
    if isinstance(data, str | Path):
        return (
            f"data must be arrays, a source or a function; got {str(data)!r}. If this "
            f"is a path, use ktune.data.{_source_of(Path(data))}."
        )
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        return (
            f"data is a {type(data).__name__}, which is read once only; folds need "
            "arrays. Collect its batches first:\n"
            "    pairs = list(batches)\n"
            "    data = tuple(np.concatenate(parts) for parts in zip(*pairs))"
        )
    return (
        "data must be (X, y), (X, y, X_test, y_test), a ktune.data source, or a "
        f"function that returns one of these; got {type(data).__name__}."
    )
