"""Keys of models that share a compiled program, as they differ in numbers only."""

import json
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import keras

from ktune.data.compiled_loss import compiled_loss
from ktune.data.model_outputs import auto_name
from ktune.trainers.graph.family import family_config
from ktune.trainers.graph.optimizer_numbers import input_names
from ktune.utils.lambda_config import holds_lambda

_HIDDEN_STATE = {
    "Lambda",  # its function may read anything
    "Normalization",  # adapted values are constants in the graph, not in the config
    "Discretization",
    "IntegerLookup",
    "StringLookup",
    "TextVectorization",
    "TFSMLayer",
    "JaxLayer",
    "FlaxLayer",
    "TorchModuleWrapper",
}
"""Layers of Keras whose configuration is incomplete."""


def structure_key(
    model: Any, *, is_open: bool = False, has_metrics: bool = False
) -> Hashable | None:
    """Return a key that is equal for models that can share a program.

    The weights, the learning rate and most other numbers of the optimizer are inputs
    of a program, so the key omits them. It also omits names, which Keras enumerates
    (``dense_17``).

    Args:
        model: A compiled Keras model.
        is_open: Whether models of one family share it, see `family`.
        has_metrics: Whether the program computes the compiled metrics too.

    Returns:
        A key, or None if the configuration may hide a difference: the user's code,
        whose closures cannot be compared, or layers with hidden state.
    """
    if not type(model).__module__.startswith("keras."):
        return None
    try:
        config = model.get_config()
    except (NotImplementedError, TypeError):
        return None
    loss = _compiled_config(model) if has_metrics else _loss_config(model)
    if loss is None or not is_transparent(config):
        return None
    parts = [
        type(model).__name__,
        _without_names(family_config(config) if is_open else config),
        model.output_shape,
        loss,
        str(model._compile_loss._user_loss_weights),
        _optimizer_config(model.optimizer),
    ]
    if not is_transparent(parts):
        return None
    return json.dumps(parts, sort_keys=True, default=str)


def is_transparent(config: Any) -> bool:
    """Whether a serialised configuration names only stateless objects of Keras."""
    if holds_lambda(config):
        return False
    return all(
        (module is None or module == "keras" or module.startswith("keras."))
        and registered_name is None
        and class_name not in _HIDDEN_STATE
        for module, class_name, registered_name in _serialised_objects(config)
    )


def _serialised_objects(config: Any) -> Iterator[tuple[Any, Any, Any]]:
    if isinstance(config, Mapping):
        if "class_name" in config:
            yield (
                config.get("module"),
                config["class_name"],
                config.get("registered_name"),
            )
        for value in config.values():
            yield from _serialised_objects(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _serialised_objects(value)


def _without_names(config: Any) -> Any:
    """Number layers in order of appearance instead of naming them."""
    names: dict[str, str] = {}
    for name in _layer_names(config):
        names.setdefault(name, f"#{len(names)}")
    return _renamed(config, names)


def _layer_names(config: Any) -> Iterator[str]:
    if isinstance(config, Mapping):
        if isinstance(config.get("name"), str):
            yield config["name"]
        for value in config.values():
            yield from _layer_names(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _layer_names(value)


def _renamed(config: Any, names: Mapping[str, str]) -> Any:
    if isinstance(config, str):
        return names.get(config, config)
    if isinstance(config, Mapping):
        return {key: _renamed(value, names) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [_renamed(value, names) for value in config]
    return config


def _loss_config(model: Any) -> Any:
    loss = compiled_loss(model)
    if isinstance(loss, str):
        return loss
    if not (getattr(loss, "__module__", "") or "").startswith("keras."):
        return None
    return keras.losses.serialize(loss)


def _compiled_config(model: Any) -> Any:
    """Return losses and metrics by output; None: some are the user's own."""
    metrics: Any = getattr(model, "_compile_metrics", None)
    compiled = [
        model._compile_loss._user_loss,
        getattr(metrics, "_user_metrics", None),
        getattr(metrics, "_user_weighted_metrics", None),
    ]
    if not all(map(_is_of_keras, keras.tree.flatten(compiled))):
        return None
    return keras.tree.map_structure(_serialised, compiled)


def _is_of_keras(part: Any) -> bool:
    module = getattr(part, "__module__", "") or ""
    return part is None or isinstance(part, str) or module.startswith("keras.")


def _serialised(part: Any) -> Any:
    if part is None or isinstance(part, str):
        return part
    config = keras.saving.serialize_keras_object(part)
    if isinstance(config, Mapping) and isinstance(config.get("config"), Mapping):
        config["config"]["name"] = auto_name(part)
    return config


def _optimizer_config(optimizer: Any) -> dict[str, Any]:
    config, name = dict(optimizer.get_config()), type(optimizer).__name__
    inputs = input_names(config, name)
    config.pop("name", None)
    if isinstance(config["learning_rate"], float):
        config["learning_rate"] = "input"
    return {"class_name": name, **config, **dict.fromkeys(inputs, "input")}
