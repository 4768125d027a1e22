"""In which form a compiled loss wants the targets of classes."""

from typing import Any

from ktune.data.compiled_loss import compiled_loss, keras_loss, loss_name
from ktune.data.dataset import Task
from ktune.data.loss_probe import TargetForm, probe_target_form


def target_form(model: Any, task: Task, n_outputs: int) -> TargetForm | None:
    """Return how a model's loss wants classes; None: as one column of 0 and 1.

    A loss of Keras says so by its name; one of the user's own is tried. Where trying
    does not tell either, a name with "sparse" stands for class numbers.
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
    """Whether a row has one output: two classes need no more."""
    shape = getattr(model, "output_shape", None)
    if isinstance(shape, tuple):
        return bool(shape[-1] == 1)
    # A subclassed model does not tell its shape. Two columns of class probabilities
    # go with a categorical loss, one column with any other.
    return task is Task.BINARY and "categorical" not in loss_name(model)


_CHOSEN_BY_KERAS = ("crossentropy", "ce")
"""Short names for which Keras looks at targets and outputs; one-hot rows are clear."""
