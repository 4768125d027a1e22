"""Classes and functions of a Keras model that Keras does not know by itself."""

import inspect
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from ktune.utils.lambda_config import holds_lambda

_OF_TRAINING = ("compile_config", "build_config")
_DEPTH = 6
"""Levels of attributes in which functions are looked for."""


@dataclass(frozen=True)
class CustomObject:
    """A class or function that Keras has to be given when it loads a model.

    Attributes:
        key: The name Keras asks for: the registered one, else its own.
        module: Where it is defined.
        name: Its qualified name there.
    """

    key: str
    module: str
    name: str


def find_custom_objects(
    model: Any,
    config: Mapping[str, Any] | None = None,
    *,
    with_training: bool = False,
) -> tuple[CustomObject, ...]:
    """Return the custom objects in the config of a model.

    Args:
        model: A Keras model that has a config.
        config: The result of `config_of`, if it is at hand.
        with_training: Also those of its loss, metrics and optimizer.

    Raises:
        Exception: The model has no config; see `obstacle`.
    """
    found: dict[str, CustomObject] = {}
    functions = _functions(model)
    classes = {(c.__module__, c.__name__): c for c in map(type, _layers(model))}
    for node in _nodes(config or config_of(model), with_training):
        if node["class_name"] == "function":
            # Keras writes the name of a function, not the module.
            if (function := functions.get(node["config"])) is not None:
                key, name = node["config"], function.__qualname__
                found[key] = CustomObject(key, function.__module__, name)
        elif _is_custom(node):
            key = node["registered_name"] or node["class_name"]
            found[key] = _describe(key, node, classes)
    return tuple(found[key] for key in sorted(found))


def config_of(model: Any) -> Mapping[str, Any]:
    """Return what Keras would write of a model beside its weights."""
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a lambda; see `obstacle`
        config: Mapping[str, Any] = keras.saving.serialize_keras_object(model)
    return config


def obstacle(model: Any) -> str:
    """Return why Keras cannot make a model again from its config; "" if it can.

    One sentence, and the line to write.
    """
    for layer in _layers(model):
        cls = type(layer)
        if _is_of_keras(cls.__module__) and cls.__name__ != "Lambda":
            continue
        try:
            config = layer.get_config()
            if cls.__name__ == "Lambda" and _has_lambda(layer):
                return (
                    f"layer {layer.name!r} is a Lambda over a Python lambda, which "
                    "Keras does not load in safe mode: write a named function, "
                    "`def scaled(x): return ...`, and `keras.layers.Lambda(scaled)`"
                )
            if _is_of_keras(cls.__module__) or "layers" in config:
                continue  # Keras's own way; functional models are checked by layer
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cls.from_config(config)
        except Exception as error:
            return _lacks_config(_culprit(error) or cls, error)
    return _obstacle_in_parts(model)


def _obstacle_in_parts(model: Any) -> str:
    """Return why a part of a layer, or the optimizer, cannot be written."""
    try:
        config = config_of(model)
    except Exception as error:
        return _lacks_config(_culprit(error) or type(model), error)
    if holds_lambda(config, ignored=_OF_TRAINING):
        return (
            "a layer holds a Python lambda, such as its activation, which Keras does "
            "not load in safe mode: write a named function, `def scaled(x): return "
            "...`, and `activation=scaled`"
        )
    return ""


def _culprit(error: Exception) -> type | None:
    """Return the class of the user whose method raised an error, if there is one."""
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    found = [type(names["self"]) for names in frames if "self" in names]
    own = [cls for cls in found if not _is_of_keras(cls.__module__)]
    return own[-1] if own else None


def _lacks_config(cls: type, error: Exception) -> str:
    parameters = [
        name
        for name, parameter in inspect.signature(cls).parameters.items()
        if name != "name"
        and parameter.kind is not parameter.VAR_KEYWORD
        and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    items = [f'"{name}": self.{name}' for name in parameters]
    if _inherits_config(cls):
        items.insert(0, "**super().get_config()")
    reason = "" if isinstance(error, NotImplementedError) else f" ({_first(error)})"
    return (
        f"Keras cannot make class {cls.__name__} again from its config{reason}: add "
        f"`def get_config(self): return {{{', '.join(items)}}}` to {cls.__name__}"
    )


def _inherits_config(cls: type) -> bool:
    """Whether Keras's base class of a class has a config of its own."""
    import keras

    return issubclass(cls, (keras.Layer, keras.Loss, keras.Metric, keras.Optimizer))


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:120]}"


def _layers(model: Any) -> list[Any]:
    flatten = getattr(model, "_flatten_layers", None)
    return list(flatten(include_self=True, recursive=True)) if flatten else [model]


def _has_lambda(layer: Any) -> bool:
    return getattr(layer.function, "__name__", "") == "<lambda>"


def _nodes(config: Any, with_training: bool) -> Iterator[dict[str, Any]]:
    """Yield every part of a config that stands for an object."""
    if isinstance(config, Mapping):
        if "class_name" in config and "module" in config:
            yield dict(config)
        for key, value in config.items():
            if with_training or key not in _OF_TRAINING:
                yield from _nodes(value, with_training)
    elif isinstance(config, list | tuple):
        for item in config:
            yield from _nodes(item, with_training)


def _is_custom(node: Mapping[str, Any]) -> bool:
    module = node["module"]
    return isinstance(module, str) and not _is_of_keras(module)


def _is_of_keras(module: str) -> bool:
    return module in ("builtins", "keras") or module.startswith("keras.")


def _functions(model: Any) -> dict[str, FunctionType]:
    """Return the functions that a model refers to, by the name Keras writes."""
    import keras

    found: dict[str, FunctionType] = {}
    seen: set[int] = set()
    training = [model.loss, *model.metrics] if getattr(model, "compiled", False) else []
    waiting = [(part, _DEPTH) for part in (*_layers(model), *training)]
    while waiting:
        part, depth = waiting.pop()
        if id(part) in seen or depth == 0:
            continue
        seen.add(id(part))
        if isinstance(part, FunctionType):
            if not _is_of_keras(part.__module__ or ""):
                found.setdefault(keras.saving.get_registered_name(part), part)
        elif isinstance(part, Mapping):
            waiting += [(item, depth - 1) for item in part.values()]
        elif isinstance(part, list | tuple):
            waiting += [(item, depth - 1) for item in part]
        elif _is_part(part):
            waiting += [(item, depth - 1) for item in vars(part).values()]
    return found


def _is_part(part: Any) -> bool:
    """Whether a value is an object of a model, not a number, tensor or variable."""
    cls = type(part)
    is_data = cls.__module__.startswith(("tensorflow", "numpy")) or "backend" in (
        cls.__module__
    )
    return hasattr(part, "__dict__") and not is_data and not isinstance(part, type)


def _describe(
    key: str, node: Mapping[str, Any], classes: Mapping[tuple[str, str], type]
) -> CustomObject:
    import keras

    known = keras.saving.get_registered_object(key)
    known = known or classes.get((node["module"], node["class_name"]))
    name = getattr(known, "__qualname__", None) or node["class_name"]
    return CustomObject(key, str(node["module"]), str(name))
