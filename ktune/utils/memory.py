"""Estimate whether the training of a model fits into memory, before it starts.

A process that exceeds the memory gets no exception: the system kills it, or another
one. So a model that is far too large is refused by an estimate. The estimate is
rather too small than too large, so that a model that just fits is trained.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from ktune.errors import OutOfMemory

_SLOTS = {"SGD": 0, "Lion": 1, "RMSprop": 1, "Adagrad": 1, "Adafactor": 1}
"""Optimizer variables for every weight; most other optimizers keep two."""

_BYTES = 4  # of a float32
_GIB = 2**30

TOO_BIG = "training it takes more memory than is free here"


@contextlib.contextmanager
def limited_weights(limit: float) -> Iterator[None]:
    """Refuse a model built within the block before its weights are allocated.

    Args:
        limit: Maximum bytes of the weights and their gradients.

    Raises:
        OutOfMemory: A layer adds a weight beyond the limit.
    """
    import keras

    original = keras.layers.Layer.add_weight
    taken = 0.0

    def add_weight(layer: Any, shape: Any = None, *args: Any, **more: Any) -> Any:
        nonlocal taken
        taken += 2 * _BYTES * _size(shape or ())
        require_memory(taken, limit)
        return original(layer, shape, *args, **more)

    # Every layer of Keras creates its weights by this method.
    keras.layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = original


def require_memory(needed: float, available: float) -> None:
    """Fail a trial that needs more memory than is available.

    Args:
        needed: Bytes.
        available: Bytes.

    Raises:
        OutOfMemory: ``needed`` exceeds ``available``. The message is the same for all
            such trials, so that they are counted as one kind of failure.
    """
    if needed > available:
        raise OutOfMemory(
            TOO_BIG,
            details=f"at least {needed / _GIB:,.1f} GiB are needed, "
            f"{available / _GIB:,.1f} GiB are free",
        )


def bytes_to_train(
    model: Any, *, batch_size: int, n_folds: int, data_bytes: int
) -> float:
    """Estimate the memory needed to train all folds of a trial together.

    Args:
        model: A model of the trial, built and compiled.
        batch_size: Rows in a batch.
        n_folds: Number of folds; each has its own weights and optimizer.
        data_bytes: Size of the features, which a trainer may copy.

    Returns:
        Bytes: weights, gradients and optimizer variables of every fold, and the
        outputs of all layers for one batch, forward and backward.
    """
    slots = _SLOTS.get(type(getattr(model, "optimizer", None)).__name__, 2)
    weights = _BYTES * model.count_params() * (2 + slots)
    outputs = _BYTES * sum(map(_output_size, getattr(model, "layers", ())))
    return float(n_folds * weights + 2 * batch_size * outputs + data_bytes)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory is exhausted, in any backend."""
    names = {cls.__name__ for cls in type(error).__mro__}
    kinds = {"OutOfMemory", "MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}
    return bool(names & kinds) or "RESOURCE_EXHAUSTED" in str(error)[:200]


def _output_size(layer: Any) -> int:
    """Return the number of outputs of a layer for one row; 0 if it is unknown."""
    try:
        return _size(layer.output.shape[1:])
    except (AttributeError, ValueError):  # used several times, or in a subclass
        return 0


def _size(shape: int | Sequence[int | None]) -> int:
    sizes = [shape] if isinstance(shape, int) else shape
    return math.prod(int(size or 1) for size in sizes)
