"""Does a model's training fit into memory? Asked before it takes any.

A process that takes more memory than there is does not fail: the system ends it, or
another one. So a model that is far too big is refused by an estimate, which is rather
too small than too large: what just fits is trained.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from ktune.errors import OutOfMemory

_SLOTS = {"SGD": 0, "Lion": 1, "RMSprop": 1, "Adagrad": 1, "Adafactor": 1}
"""Numbers that optimizers keep for every weight; most others keep two."""

_BYTES = 4  # of a float32
_GIB = 2**30

TOO_BIG = "training it takes more memory than is free here"


@contextlib.contextmanager
def limited_weights(limit: float) -> Iterator[None]:
    """Refuse a model in here before its weights take up their memory.

    Args:
        limit: Bytes the weights and their gradients may take.

    Raises:
        OutOfMemory: A layer asks for a weight beyond that.
    """
    import keras

    original = keras.layers.Layer.add_weight
    taken = 0.0

    def add_weight(layer: Any, shape: Any = None, *args: Any, **more: Any) -> Any:
        nonlocal taken
        taken += 2 * _BYTES * _size(shape or ())
        require_memory(taken, limit)
        return original(layer, shape, *args, **more)

    # Every layer of Keras makes its weights by this method.
    keras.layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = original


def require_memory(needed: float, available: float) -> None:
    """Fail a trial that needs more memory than there is.

    Args:
        needed: Bytes.
        available: Bytes.

    Raises:
        OutOfMemory: It does. Its message is the same for all that fail so.
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
    """Estimate how much memory it takes to train the folds of a trial in step.

    Args:
        model: One of its models, built and compiled.
        batch_size: Rows in a step.
        n_folds: Each has weights and an optimizer of its own.
        data_bytes: Of the features, which a trainer may copy.

    Returns:
        Bytes: weights, gradients and what the optimizer keeps of every fold,
        and the outputs of all layers for one batch, there and back.
    """
    slots = _SLOTS.get(type(getattr(model, "optimizer", None)).__name__, 2)
    weights = _BYTES * model.count_params() * (2 + slots)
    outputs = _BYTES * sum(map(_output_size, getattr(model, "layers", ())))
    return float(n_folds * weights + 2 * batch_size * outputs + data_bytes)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a training ended since memory did, whatever its backend calls that."""
    names = {cls.__name__ for cls in type(error).__mro__}
    kinds = {"OutOfMemory", "MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}
    return bool(names & kinds) or "RESOURCE_EXHAUSTED" in str(error)[:200]


def _output_size(layer: Any) -> int:
    """Return the numbers a layer returns for a row; 0 where it does not tell."""
    try:
        return _size(layer.output.shape[1:])
    except (AttributeError, ValueError):  # used several times, or in a subclass
        return 0


def _size(shape: int | Sequence[int | None]) -> int:
    sizes = [shape] if isinstance(shape, int) else shape
    return math.prod(int(size or 1) for size in sizes)
