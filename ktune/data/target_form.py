"""The form of the targets of classes that a compiled loss expects."""

from typing import Any

from ktune.data.compiled_loss import compiled_loss, keras_loss, loss_name
from ktune.data.dataset import Task
from ktune.data.loss_probe import TargetForm, probe_target_form


def target_form(model: Any, task: Task, n_outputs: int) -> TargetForm | None:
    """Return the form of targets for the loss of a model; None: one column of 0 and 1.

    The name of a loss of Keras determines the form; a user's own loss is evaluated. If
    its values are inconclusive, a name with "sparse" means class numbers.
    """
    known = keras_loss(model)
    name, is_own = known or loss_name(model), known is None
    if has_one_output(model, task):
        return TargetForm.CLASS_NUMBERS if "sparse" in name and not is_own else None
    if is_own and name not in _CHOSEN_BY_KERAS:
        tried = probe_target_form(compiled_loss(model), n_outputs)
        if tried is not None:
            return tried
    return TargetForm.CLASS_NUMBERS if "sparse" in name else TargetForm.ONE_HOT


def has_one_output(model: Any, task: Task) -> bool:
    """Whether the model has one output column, which suffices for two classes."""
    shape = getattr(model, "output_shape", None)
    if isinstance(shape, tuple):
        return bool(shape[-1] == 1)
    # The shape of a subclassed model is unknown. A categorical loss has two columns of
    # probabilities, any other loss one column.
    return task is Task.BINARY and "categorical" not in loss_name(model)


_CHOSEN_BY_KERAS = ("crossentropy", "ce")
"""Short names that Keras resolves by targets and outputs; one-hot is unambiguous."""
