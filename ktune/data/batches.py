"""Rows of a ``tf.data.Dataset`` or a ``keras.utils.PyDataset``."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ktune.data.large_arrays import empty, is_large
from ktune.errors import DataError

TARGETS = "targets (y)"
"""Key of the targets in a batch; all other keys are features."""

_ONE_INPUT = "x"
_INFINITE = -1


def is_dataset(data: Any) -> bool:
    """Whether data are a ``tf.data.Dataset`` or a ``keras.utils.PyDataset``."""
    return _is_tf_dataset(data) or _is_py_dataset(data)


def count_elements(data: Any, name: str) -> int | None:
    """Return the number of batches or rows; None if unknown.

    Raises:
        DataError: The dataset is infinite.
    """
    if _is_py_dataset(data):
        size = data.num_batches
    else:
        found = int(data.cardinality())
        size = None if found == _INFINITE else found
    if size is None:
        raise DataError(
            f"{name}: the dataset has no end, but folds need all rows. Leave out "
            "repeat(), or cut it: dataset.take(n)."
        )
    return int(size) if size >= 0 else None


def batches_of(data: Any, name: str) -> Iterator[dict[str, np.ndarray]]:
    """Yield arrays of rows by key: the features, and `TARGETS`.

    Raises:
        DataError: An element is not ``(x, y)`` of arrays.
    """
    if _is_py_dataset(data):
        elements, is_batched = (data[i] for i in range(len(data))), True
    else:
        elements, is_batched = data.as_numpy_iterator(), _is_batched(data.element_spec)
    for element in elements:
        batch = _arrays(element, name)
        yield batch if is_batched else {key: a[None] for key, a in batch.items()}


def collect(
    batches: Iterator[dict[str, np.ndarray]], size: int | None, name: str
) -> dict[str, np.ndarray]:
    """Return all rows, mapped to a file if they are large.

    Args:
        batches: Batches of `batches_of`.
        size: Number of batches; None: unknown.
        name: Name of the data, for messages.

    Raises:
        DataError: There are no batches, their shapes differ, or they are too many.
    """
    first = next(batches, None)
    if first is None:
        raise DataError(f"{name}: the dataset is empty.")
    if size is None:
        return _collect_unknown(first, batches, name)
    n_rows = size * len(first[TARGETS])
    whole = {key: empty((n_rows, *a.shape[1:]), a.dtype) for key, a in first.items()}
    end = 0
    for batch in _chain(first, batches):
        _check_same_shape(first, batch, name)
        start, end = end, end + len(batch[TARGETS])
        for key, array in batch.items():
            whole[key][start:end] = array
    return {key: array[:end] for key, array in whole.items()}


def features_of(rows: Mapping[str, np.ndarray]) -> Any:
    """Return one array, or an array per named input."""
    inputs = {key: array for key, array in rows.items() if key != TARGETS}
    return inputs[_ONE_INPUT] if list(inputs) == [_ONE_INPUT] else inputs


def _is_tf_dataset(data: Any) -> bool:
    return hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator")


def _is_py_dataset(data: Any) -> bool:
    return any(base.__name__ == "PyDataset" for base in type(data).__mro__)


def _is_batched(spec: Any) -> bool:
    """Whether the first axis of an element is the batch axis, as in Keras's ``fit``."""
    if not isinstance(spec, tuple) or len(spec) != 2:
        return True
    x, y = spec
    x = next(iter(x.values())) if isinstance(x, Mapping) else x
    shapes: list[Any] = [getattr(part, "shape", None) for part in (x, y)]
    if any(shape is None or shape.rank is None for shape in shapes):
        return True
    if any(shape.rank == 0 for shape in shapes):
        return False
    return bool(shapes[0][0] == shapes[1][0])


def _arrays(element: Any, name: str) -> dict[str, np.ndarray]:
    problem = _problem(element)
    if problem is not None:
        raise DataError(f"{name}: the dataset yields {problem}")
    x, y = element
    inputs = x if isinstance(x, Mapping) else {_ONE_INPUT: x}
    return {**{key: np.asarray(a) for key, a in inputs.items()}, TARGETS: np.asarray(y)}


def _problem(element: Any) -> str | None:
    """Return the reason why an element is not ``(x, y)``, with a remedy."""
    n_parts = len(element) if isinstance(element, tuple | list) else 1
    if n_parts == 3:
        return (
            "(x, y, weight), and rows with weights are not supported. Leave the "
            "weights out: dataset.map(lambda x, y, w: (x, y))."
        )
    if n_parts != 2:
        return (
            "features without targets. Give pairs: "
            "dataset.map(lambda x: (x, target_of(x)))."
        )
    x, y = element
    if isinstance(x, tuple | list):
        named = ", ".join(f"'input_{index}': x[{index}]" for index in range(len(x)))
        return (
            f"{len(x)} inputs without names. Name them like the inputs of the model: "
            f"dataset.map(lambda x, y: ({{{named}}}, y))."
        )
    if isinstance(y, Mapping | tuple | list):
        first = next(iter(y)) if isinstance(y, Mapping) else 0
        return (
            f"{len(y)} targets, one per output of the model, and ktune tunes models "
            "with one output. Choose one of them: "
            f"dataset.map(lambda x, y: (x, y[{first!r}]))."
        )
    if any("Ragged" in type(part).__name__ for part in (x, y)):
        return (
            "ragged tensors. Pad them to one shape: "
            "dataset.map(lambda x, y: (x.to_tensor(shape=[None, length]), y))."
        )
    return None


def _collect_unknown(
    first: dict[str, np.ndarray], batches: Iterator[dict[str, np.ndarray]], name: str
) -> dict[str, np.ndarray]:
    found, n_bytes = [], 0
    for batch in _chain(first, batches):
        _check_same_shape(first, batch, name)
        found.append(batch)
        n_bytes += sum(array.nbytes for array in batch.values())
        if is_large(n_bytes):
            raise DataError(
                f"{name}: the dataset does not state how long it is, and has not ended "
                f"after {n_bytes / 2**30:,.1f} GiB. If it has no end, cut it: "
                "dataset.take(n); otherwise state its length: "
                "dataset.apply(tf.data.experimental.assert_cardinality(n))."
            )
    return {key: np.concatenate([batch[key] for batch in found]) for key in first}


def _check_same_shape(
    first: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray], name: str
) -> None:
    for key, array in batch.items():
        if array.shape[1:] != first[key].shape[1:]:
            raise DataError(
                f"{name}: rows have different shapes, {first[key].shape[1:]} and "
                f"{array.shape[1:]}. Bring them to one, for instance by "
                "dataset.map(lambda x, y: (tf.image.resize(x, size), y)) or "
                "padded_batch."
            )


def _chain(
    first: dict[str, np.ndarray], others: Iterator[dict[str, np.ndarray]]
) -> Iterator[dict[str, np.ndarray]]:
    yield first
    yield from others
