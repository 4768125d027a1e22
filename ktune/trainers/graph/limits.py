"""Limits of the graph trainer, as messages that the user can act on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ktune.data.compiled_loss import compiled_loss
from ktune.data.dataset import Task
from ktune.data.fixed_batch import fixed_batch_size
from ktune.protocols import TrainingTask
from ktune.trainers.callbacks import acts_on_batches, make_callbacks
from ktune.trainers.common import bytes_of
from ktune.utils.runtime import memory_bytes

MEMORY_SHARE = 0.4
"""Maximum share of the machine's memory for features as tensors."""

ELEMENTWISE_OPTIMIZERS = (
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "RMSprop",
    "SGD",
)
"""Keras optimizers that update each weight independently of its tensor."""


class NotForGraph(Exception):
    """The model cannot be trained in one graph."""


def why_not(task: TrainingTask, model: Any) -> str | None:
    """Return why a task cannot be trained in a graph; None if it can.

    Args:
        task: The task.
        model: A model built by ``task.build``.
    """
    checks: Sequence[Callable[[TrainingTask, Any], str | None]] = (
        _check_backend,
        _check_fit,
        _check_model,
        _check_loss,
        _check_optimizer,
        _check_callbacks,
        _check_memory,
    )
    # Stop at the first reason: later checks rely on earlier ones.
    return next((reason for check in checks if (reason := check(task, model))), None)


def _check_backend(task: TrainingTask, model: Any) -> str | None:
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        return f"the Keras backend is {backend}, not tensorflow"
    return None


def _check_fit(task: TrainingTask, model: Any) -> str | None:
    return None if task.fit is None else "the HyperModel has a `fit` of its own"


def _check_model(task: TrainingTask, model: Any) -> str | None:
    import keras

    for name in ("train_step", "test_step", "compute_loss", "compute_metrics"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            return f"{type(model).__name__} has its own {name}()"
    if model.run_eagerly:
        return "the model was compiled with run_eagerly=True"
    # A subclassed model does not say its shape; the pre-flight has seen its output.
    has_several = isinstance(getattr(model, "output_shape", None), list | Mapping)
    if has_several and task.data.task is not Task.CUSTOM:
        return "the model has several outputs"
    if fixed_batch_size(model) is not None:
        return f"the model has a fixed batch size of {fixed_batch_size(model)}"
    if not model.trainable_variables:
        return "the model has no trainable weights"
    if {v.dtype for v in model.trainable_variables} != {"float32"}:
        return "the weights are not all float32"
    return None


def _check_loss(task: TrainingTask, model: Any) -> str | None:
    loss = compiled_loss(model)
    if task.data.task is Task.CUSTOM and loss is not None:
        return None
    if isinstance(loss, str) or callable(loss):
        return None
    return "the model was not compiled with exactly one loss"


def _check_optimizer(task: TrainingTask, model: Any) -> str | None:
    import keras

    optimizer = model.optimizer
    name = type(optimizer).__name__
    if name not in ELEMENTWISE_OPTIMIZERS or type(optimizer) is not getattr(
        keras.optimizers, name
    ):
        return f"optimizer {name} is none of {', '.join(ELEMENTWISE_OPTIMIZERS)}"
    if optimizer.built:
        return "the optimizer has state before training starts"
    for setting in ("use_ema", "gradient_accumulation_steps", "loss_scale_factor"):
        if getattr(optimizer, setting):
            return f"the optimizer has {setting}"
    excluded = (
        "_exclude_from_weight_decay_names",
        "_exclude_from_weight_decay_pattern",
    )
    if any(getattr(optimizer, attribute, None) for attribute in excluded):
        return "some weights are excluded from weight decay"
    try:
        optimizer.get_config()
    except NotImplementedError as error:
        return f"the optimizer has no config: {error}"
    return None


def _check_callbacks(task: TrainingTask, model: Any) -> str | None:
    for callback in make_callbacks(task.settings.callbacks):
        if acts_on_batches(callback):
            return f"callback {type(callback).__name__} acts on every batch"
    return None


def _check_memory(task: TrainingTask, model: Any) -> str | None:
    arrays = {id(fold.x): fold.x for fold in task.folds}
    size = sum(bytes_of(x) for x in arrays.values())
    limit = MEMORY_SHARE * memory_bytes()
    if size > limit:
        return (
            f"the features take {size / 2**30:.1f} GiB, more than "
            f"{MEMORY_SHARE:.0%} of the memory"
        )
    return None
