"""Find a Python lambda in the config of a Keras model, which holds its bytecode."""

from collections.abc import Collection, Mapping
from typing import Any


def holds_lambda(config: Any, *, ignored: Collection[str] = ()) -> bool:
    """Whether an object in a serialised model is a Python lambda.

    Keras writes it as bytecode, defaults and closure, under ``"value"``.

    Args:
        config: A config of Keras, or a part of it.
        ignored: Keys of mappings that are not searched.

    Example:
        >>> holds_lambda({"units": 2, "activation": {"value": ("4wEA", None, None)}})
        True
    """
    if isinstance(config, Mapping):
        if isinstance(config.get("value"), tuple | list) and len(config["value"]) == 3:
            return True
        return any(
            holds_lambda(value, ignored=ignored)
            for key, value in config.items()
            if key not in ignored
        )
    return isinstance(config, list | tuple) and any(
        holds_lambda(item, ignored=ignored) for item in config
    )
