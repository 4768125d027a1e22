"""Models of one family: they share a program though their widths and rates differ.

Weights enter the program of a family as tensors of open shape, and the numbers that
layers hold, such as dropout rates, as inputs. In a search nearly every trial has other
widths, and tracing a program takes a hundred times as long as running it for an epoch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktune.trainers.graph.input_number import InputNumber

OPEN_LAYERS = {
    "Activation",
    "Add",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "Dropout",
    "ELU",
    "Flatten",
    "GaussianNoise",
    "InputLayer",
    "LeakyReLU",
    "ReLU",
    "Rescaling",
}
"""Layers that compute the same from tensors of open shape.

Others keep a program for each of their shapes: a convolution is arithmetic, which takes
longer in open shapes, and the zero state of an LSTM has the width it was traced with.
"""

_WIDTHS = {"Dense": ("units",)}
"""Settings that show in the shapes of weights and nowhere else."""

_NUMBERS = {
    "Dropout": ("rate",),
    "GaussianNoise": ("stddev",),
    "L1": ("l1",),
    "L2": ("l2",),
    "L1L2": ("l1", "l2"),
}
"""Numbers that are inputs where they are greater than 0; an off switch is structure.

The slope of a leaky ReLU is an attribute of TensorFlow's operation, so it is not.
"""

_REGULARIZERS = ("kernel_regularizer", "bias_regularizer")


@dataclass(frozen=True, eq=False)
class FamilyInputs:
    """The numbers in which the models of a family differ.

    Attributes:
        dims: The shapes of all trainable weights, one after another, int32.
        numbers: The numbers that layers hold, float32.
    """

    dims: np.ndarray
    numbers: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The arrays in the order a program takes them."""
        return self.dims, self.numbers


NO_INPUTS = FamilyInputs(np.zeros(0, np.int32), np.zeros(0, np.float32))
"""The inputs of a program that serves models of one shape."""


def is_family(model: Any) -> bool:
    """Whether the program of a model serves models of other widths."""
    import keras
    from keras.src.models.functional import Functional

    layers = model._flatten_layers(include_self=False)
    return type(model) in (keras.Sequential, Functional) and all(
        type(layer).__name__ in OPEN_LAYERS
        and type(layer).__module__.startswith("keras.")
        and layer.compute_dtype == "float32"
        and not getattr(layer, "quantization_mode", None)
        and not getattr(layer, "lora_enabled", False)
        for layer in layers
    )


def family_inputs(model: Any) -> FamilyInputs:
    """Return the inputs of one model of a family."""
    dims = [dim for variable in model.trainable_variables for dim in variable.shape]
    numbers = [getattr(owner, name) for owner, name in _held_numbers(model)]
    return FamilyInputs(np.array(dims, np.int32), np.array(numbers, np.float32))


def open_numbers(model: Any) -> list[InputNumber]:
    """Put variables in the place of the numbers that layers hold; return them."""
    made = []
    for owner, name in list(_held_numbers(model)):
        made.append(InputNumber(getattr(owner, name)))
        # A built layer refuses new variables; this one is none of its state.
        object.__setattr__(owner, name, made[-1])
    return made


def family_config(config: Any) -> Any:
    """Return a serialised model without the differences within its family."""
    if isinstance(config, list | tuple):
        return [family_config(part) for part in config]
    if not isinstance(config, Mapping):
        return config
    kind = config.get("class_name")
    if kind == "__keras_tensor__":
        return {**config, "config": {**config["config"], "shape": None}}
    opened = {k: v for k, v in config.items() if k != "build_config"}
    if isinstance(config.get("config"), Mapping):
        opened["config"] = _open_settings(config["config"], str(kind))
    return {key: family_config(value) for key, value in opened.items()}


def _open_settings(settings: Mapping[str, Any], kind: str) -> dict[str, Any]:
    numbers = [n for n in _NUMBERS.get(kind, ()) if _is_on(n, settings.get(n))]
    return {
        name: "input" if name in (*_WIDTHS.get(kind, ()), *numbers) else value
        for name, value in settings.items()
        if not name.endswith("_initializer")  # its values are inputs already
    }


def _held_numbers(model: Any) -> Iterator[tuple[Any, str]]:
    for layer in model._flatten_layers(include_self=False):
        holders = [layer, *(getattr(layer, name, None) for name in _REGULARIZERS)]
        for holder in holders:
            for name in _NUMBERS.get(type(holder).__name__, ()):
                if _is_on(name, getattr(holder, name)):
                    yield holder, name


def _is_on(name: str, number: Any) -> bool:
    if not isinstance(number, int | float | np.number):
        return False
    return 0 < float(number) < (1 if name == "rate" else np.inf)
