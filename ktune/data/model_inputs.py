"""Names of the inputs of a model whose features were given as a list.

Features in a list become ``input_0``, ``input_1`` …, as folds, registered models and
files take inputs by name. The inputs of the model get these names in order; an input
that the user has named keeps its name, and the features take it over.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ktune.data.custom_targets import are_several
from ktune.data.model_outputs import is_counted
from ktune.errors import ExperimentError

_PREFIX = "input_"


def by_position(x: Any, n_rows: int) -> Any:
    """Return a list of features as a dict with a name for each position.

    Args:
        x: Features as given; anything but a list of arrays is unchanged.
        n_rows: Number of rows, which tells arrays from rows.
    """
    if isinstance(x, Mapping) or not are_several(x, n_rows):
        return x
    if len(x) == 1:
        return x[0]
    return {f"{_PREFIX}{index}": part for index, part in enumerate(x)}


def are_by_position(shapes: Any) -> bool:
    """Whether inputs have the names of `by_position`."""
    if not isinstance(shapes, Mapping):
        return False
    return list(shapes) == [f"{_PREFIX}{index}" for index in range(len(shapes))]


def names_from(model: Any, names: Sequence[str]) -> list[str]:
    """Return the names of the inputs of a model; those that Keras gave are replaced."""
    layers = _input_layers(model)
    if len(layers) != len(names):
        return list(names)
    found = [
        name if is_counted(layer) else str(layer.name)
        for layer, name in zip(layers, names, strict=True)
    ]
    return found if len(set(found)) == len(found) else list(names)


def name_inputs(model: Any, names: Sequence[str]) -> None:
    """Give the inputs of a functional model that Keras has named the names in order.

    Only names of `by_position` are given: a dict of features has names of its own.

    Raises:
        ExperimentError: The model has another number of inputs.
    """
    layers = _input_layers(model)
    if not layers or isinstance(getattr(model, "_inputs_struct", None), Mapping):
        return
    if len(layers) != len(names) and are_by_position(dict.fromkeys(names)):
        raise ExperimentError(
            f"`build`: the model has {len(layers)} inputs, but the features are "
            f"{len(names)} arrays. Give one array for each input, in the same order."
        )
    for index, (tensor, layer) in enumerate(zip(model.inputs, layers, strict=True)):
        name = f"{_PREFIX}{index}"
        if is_counted(layer) and name in names:
            layer.name = tensor.name = name


def _input_layers(model: Any) -> list[Any]:
    tensors = getattr(model, "inputs", None) or []
    return [tensor._keras_history.operation for tensor in tensors]
