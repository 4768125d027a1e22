"""Input shape and output layer of the presets."""

from collections.abc import Mapping
from typing import Any

from ktune.data.dataset import DataDescription, Task
from ktune.errors import ExperimentError


def output_layer(data: DataDescription) -> Any:
    """Return the output layer of a task.

    | task | layer |
    |---|---|
    | binary | one sigmoid unit, the probability of class 1 |
    | multiclass | softmax over the classes |
    | multilabel | one sigmoid unit a label |
    | regression | one linear unit a target |

    Raises:
        ExperimentError: The task is custom.
    """
    import keras

    if data.task is Task.CUSTOM:
        raise ExperimentError(
            f"the ready-made spaces are for classes and numbers; the targets of "
            f"{data.name} have shape {data.target_shape} a row. Write a `build` of "
            "your own that returns a compiled model."
        )
    if data.task is Task.BINARY:
        return keras.layers.Dense(1, activation="sigmoid", name="output")
    activation = {Task.MULTICLASS: "softmax", Task.MULTILABEL: "sigmoid"}
    return keras.layers.Dense(
        data.n_outputs, activation=activation.get(data.task), name="output"
    )


def single_shape(
    data: DataDescription, preset: str, *, ranks: tuple[int, ...], needs: str
) -> tuple[int, ...]:
    """Return the shape of one row, for a preset with one input.

    Args:
        data: Description of the data.
        preset: Name of the preset, for the message.
        ranks: Supported numbers of axes of a row.
        needs: Description of the supported data, for the message.

    Raises:
        ExperimentError: There are several inputs, or rows of another rank.
    """
    shape = data.input_shape
    if isinstance(shape, Mapping):
        raise ExperimentError(
            f"{preset} takes one input, but {data.name} has {len(shape)}: "
            f"{', '.join(shape)}. Use ktune.spaces.mlp(), or your own build function."
        )
    if len(shape) not in ranks:
        raise ExperimentError(
            f"{preset} needs {needs}, but a row of {data.name} has shape {shape}. Use "
            "another preset, or reshape the data."
        )
    return tuple(shape)
