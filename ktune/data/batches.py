"""Rows of a ``tf.data.Dataset`` or a ``keras.utils.PyDataset``."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ktune.data.large_arrays import empty, is_large
from ktune.errors import DataError

TARGETS = "targets (y)"
WEIGHTS = "weights of rows"
"""Keys of targets and weights in a batch; all other keys are features. The targets of
several outputs have the name of the output behind a slash."""

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
    """Yield arrays of rows by key: the features, `TARGETS`, and any `WEIGHTS`.

    Raises:
        DataError: An element is not ``(x, y)`` or ``(x, y, weights)`` of arrays.
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
    n_rows = size * count_rows_of(first)
    whole = {key: empty((n_rows, *a.shape[1:]), a.dtype) for key, a in first.items()}
    end = 0
    for batch in _chain(first, batches):
        _check_same_shape(first, batch, name)
        start, end = end, end + count_rows_of(batch)
        for key, array in batch.items():
            whole[key][start:end] = array
    return {key: array[:end] for key, array in whole.items()}


def features_of(rows: Mapping[str, np.ndarray]) -> Any:
    """Return one array, or an array per named input."""
    inputs = {
        key: array
        for key, array in rows.items()
        if key != WEIGHTS and not _is_target(key)
    }
    return inputs[_ONE_INPUT] if list(inputs) == [_ONE_INPUT] else inputs


def targets_of(rows: Mapping[str, np.ndarray]) -> Any:
    """Return one array of targets; of several outputs a dict or list, as given."""
    if TARGETS in rows:
        return rows[TARGETS]
    found = {
        key.removeprefix(f"{TARGETS}/"): array
        for key, array in rows.items()
        if _is_target(key)
    }
    is_list = list(found) == [str(index) for index in range(len(found))]
    return list(found.values()) if is_list else found


def count_rows_of(batch: Mapping[str, np.ndarray]) -> int:
    """Return the number of rows of a batch."""
    return len(next(array for key, array in batch.items() if _is_target(key)))


def _is_target(key: str) -> bool:
    return key == TARGETS or key.startswith(f"{TARGETS}/")


def _is_tf_dataset(data: Any) -> bool:
    return hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator")


def _is_py_dataset(data: Any) -> bool:
    return any(base.__name__ == "PyDataset" for base in type(data).__mro__)


def _is_batched(spec: Any) -> bool:
    """Whether the first axis of an element is the batch axis, as in Keras's ``fit``."""
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        return True
    shapes: list[Any] = [getattr(_first_part(part), "shape", None) for part in spec]
    if any(shape is None or shape.rank is None for shape in shapes):
        return True
    if any(shape.rank == 0 for shape in shapes):
        return False
    return bool(shapes[0][0] == shapes[1][0])


def _first_part(part: Any) -> Any:
    while isinstance(part, Mapping | tuple | list) and part:
        part = next(iter(part.values() if isinstance(part, Mapping) else part))
    return part


def _arrays(element: Any, name: str) -> dict[str, np.ndarray]:
    problem = _problem(element)
    if problem is not None:
        raise DataError(f"{name}: the dataset yields {problem}")
    x, y, *weights = element
    parts = {**_named(x, _ONE_INPUT, "input_"), **_named(y, TARGETS, f"{TARGETS}/")}
    if weights:
        parts[WEIGHTS] = weights[0]
    return {key: np.asarray(part) for key, part in parts.items()}


def _named(part: Any, alone: str, prefix: str) -> dict[str, Any]:
    """Return the arrays of a part of an element by key."""
    if isinstance(part, Mapping):
        in_front = "" if alone == _ONE_INPUT else prefix
        return {f"{in_front}{key}": array for key, array in part.items()}
    if isinstance(part, tuple | list):
        return {f"{prefix}{index}": array for index, array in enumerate(part)}
    return {alone: part}


def _problem(element: Any) -> str | None:
    """Return the reason why an element is not ``(x, y)``, with a remedy."""
    n_parts = len(element) if isinstance(element, tuple | list) else 1
    if n_parts not in (2, 3):
        return (
            "features without targets. Give pairs: "
            "dataset.map(lambda x: (x, target_of(x)))."
        )
    x, y, *weights = element
    if isinstance(weights[0] if weights else None, Mapping | tuple | list):
        return (
            "weights for each output. One weight for each row is used: "
            "dataset.map(lambda x, y, w: (x, y, w['output'])), and loss_weights in "
            "model.compile for outputs."
        )
    inner = [*_named(x, "", "").values(), *_named(y, "", "").values()]
    if any(isinstance(part, Mapping | tuple | list) for part in inner):
        return (
            "a nest in a nest. Give a flat dict of inputs and of targets: "
            "dataset.map(lambda x, y: ({…}, {…}))."
        )
    if any(map(_is_ragged, inner)):
        return (
            "ragged tensors. Pad them to one shape: "
            "dataset.map(lambda x, y: (x.to_tensor(shape=[None, length]), y))."
        )
    return None


def _is_ragged(part: Any) -> bool:
    """Whether an array has rows of different lengths, as TensorFlow hands them on."""
    if "Ragged" in type(part).__name__:
        return True
    is_object = isinstance(part, np.ndarray) and part.dtype == object
    return is_object and any(isinstance(row, np.ndarray) for row in part.ravel()[:1])


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
