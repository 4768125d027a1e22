"""The outputs of a model of a custom task: their names, and the names of their logs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktune.data.nest import Nest, is_nested


def named_outputs(model: Any, outputs: Any) -> Any:
    """Return one output as an array, several as arrays by name.

    A dict of outputs has its own keys. A list has the names of the output layers, or
    ``output_0``, ``output_1`` … where Keras has named them.

    Args:
        model: The Keras model.
        outputs: The result of its ``predict``.
    """
    import keras

    if not is_nested(outputs):
        return np.asarray(outputs)
    flat = keras.tree.flatten_with_path(outputs)
    if len(flat) == 1:
        return np.asarray(flat[0][1])
    names = [_name_of(model, path) for path, _ in flat]
    return {name: np.asarray(part) for name, (_, part) in zip(names, flat, strict=True)}


def in_structure_of(model: Any, outputs: Any, x: Any) -> Any:
    """Return named outputs in the structure of the model, as its loss takes them.

    Args:
        model: The Keras model.
        outputs: An array, or a `Nest` of `named_outputs`.
        x: A few preprocessed rows, for a model that does not say its structure.
    """
    import keras

    structure = model.output if _is_functional(model) else model(x)
    if not is_nested(structure):
        return outputs
    parts = outputs.structure.values() if isinstance(outputs, Nest) else [outputs]
    return keras.tree.pack_sequence_as(structure, list(parts))


def stable_names(model: Any, names: Sequence[str]) -> dict[str, str]:
    """Return the names of Keras's logs to names that every model of a search has.

    Keras counts metrics and layers without a name: ``auc`` of one model is ``auc_1`` of
    the next, and ``dense_3_loss`` is ``dense_5_loss``.
    """
    counted = {metric.name: auto_name(metric) for metric in _own_metrics(model)}
    layers = _counted_outputs(model)
    found: dict[str, str] = {}
    for name in names:
        prefix = "val_" if name.startswith("val_") else ""
        bare = name.removeprefix(prefix)
        stable = f"{prefix}{_stable(bare, counted, layers)}"
        is_free = stable not in names and stable not in found.values()
        found[name] = stable if is_free else name
    return found


def auto_name(metric: Any) -> str:
    """Return a metric's name without the number that Keras has added."""
    name = str(metric.name)
    return re.sub(r"_\d+$", "", name) if is_counted(metric) else name


def is_counted(item: Any) -> bool:
    """Whether Keras has named a layer or a metric, after its class."""
    base = re.sub(r"_\d+$", "", str(item.name)).replace("_", "")
    return bool(base == type(item).__name__.lower())


def _stable(bare: str, counted: Mapping[str, str], layers: Mapping[str, str]) -> str:
    if bare in counted:
        return counted[bare]
    for name, stable in counted.items():
        if bare.endswith(f"_{name}"):
            bare = bare.removesuffix(name) + stable
            break
    for layer, stable in layers.items():
        if bare.startswith(f"{layer}_"):
            return stable + bare.removeprefix(layer)
    return bare


def _own_metrics(model: Any) -> Sequence[Any]:
    """Return the metrics a model was compiled with."""
    compiled = getattr(model, "_compile_metrics", None)
    return tuple(getattr(compiled, "metrics", None) or ())


def _name_of(model: Any, path: Sequence[Any]) -> str:
    if len(path) == 1 and isinstance(path[0], int):
        return _names_in_list(model).get(path[0], f"output_{path[0]}")
    return "/".join(str(key) for key in path)


def _names_in_list(model: Any) -> dict[int, str]:
    """Return the names of a list of outputs; those of Keras are replaced."""
    if not _is_functional(model) or isinstance(model.output, Mapping):
        return {}
    layers, counted = list(model.output_names), _counted_outputs(model)
    if len(set(layers)) < len(layers):
        return {}
    return {k: counted.get(layer, layer) for k, layer in enumerate(layers)}


def _counted_outputs(model: Any) -> dict[str, str]:
    """Return output layers that Keras has named, the longest name first."""
    if not _is_functional(model) or not isinstance(model.output, list | tuple):
        return {}
    found = {}
    for index, tensor in enumerate(model.outputs):
        layer = tensor._keras_history.operation
        if is_counted(layer):
            found[str(layer.name)] = f"output_{index}"
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _is_functional(model: Any) -> bool:
    """Whether Keras knows the structure of the outputs; a Sequential has only one."""
    return getattr(model, "_outputs_struct", None) is not None
