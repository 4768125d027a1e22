"""Combine embedded preprocessing and a trained Keras model in one Keras model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktune.models.export.embedded_preprocessing import Block, Fill, Step
from ktune.models.export.rows_file import SINGLE_INPUT


@dataclass(frozen=True)
class InputForm:
    """Form of one input of an exported model.

    Attributes:
        shape: Shape of one row.
        dtype: Type of the numbers.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"


def complete_model(
    model: Any,
    blocks: Mapping[str, Sequence[Block]],
    inputs: Mapping[str, InputForm],
    output_names: Sequence[str] = (),
) -> Any:
    """Return a functional model that maps raw rows to the trained model's outputs.

    The preprocessing consists of Keras operations, so loading the file needs Keras
    only.

    Args:
        model: The trained model; its layers are used, not copied.
        blocks: Preprocessing of each input, as `embedded_preprocessing.embed` returns
            it; the other inputs are unchanged.
        inputs: The inputs of the complete model by name.
        output_names: Names of several outputs; empty for one.
    """
    import keras

    tensors = {
        name: keras.Input(form.shape, dtype=form.dtype, name=name)
        for name, form in inputs.items()
    }
    prepared = {n: preprocess(t, blocks.get(n, ())) for n, t in tensors.items()}
    is_single = list(inputs) == [SINGLE_INPUT]
    outputs = model(prepared[SINGLE_INPUT] if is_single else prepared)
    rows = tensors[SINGLE_INPUT] if is_single else tensors
    return keras.Model(rows, _named(outputs, output_names))


def _named(outputs: Any, names: Sequence[str]) -> Any:
    """Return several outputs as a dict, so that every format names them alike."""
    import keras

    flat = keras.tree.flatten(outputs)
    return dict(zip(names, flat, strict=True)) if names else flat[0]


def unrolled(model: Any) -> Any:
    """Return a copy with unrolled recurrent layers.

    TFLite does not support the loops over lists of tensors in recurrent layers.
    Returns the model itself if it has no recurrent layer.

    Raises:
        ValueError: The layers cannot be copied, or the number of steps is unknown.
    """
    import keras

    if not any(_is_recurrent(layer) for layer in _layers(model)):
        return model
    # A recurrent layer makes its cell from a config, which may be of a user's class.
    classes = {type(layer).__name__: type(layer) for layer in _layers(model)}
    with keras.saving.custom_object_scope(classes):
        copy = keras.models.clone_model(model, clone_function=_unroll, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def preprocess(rows: Any, blocks: Sequence[Block]) -> Any:
    """Return preprocessed rows with Keras operations; rows may be symbolic.

    Args:
        rows: Raw rows, float32.
        blocks: From `embedded_preprocessing.embed`; empty for unchanged rows.
    """
    from keras import ops

    if not blocks:
        return rows
    results = []
    for block in blocks:
        part = rows
        if block.columns is not None and block.columns != tuple(range(rows.shape[-1])):
            part = ops.take(rows, np.asarray(block.columns, dtype=np.int32), axis=-1)
        for step in block.steps:
            part = _apply(part, step)
        results.append(part)
    return results[0] if len(results) == 1 else ops.concatenate(results, axis=-1)


def _apply(x: Any, step: Step) -> Any:
    from keras import ops

    if isinstance(step, Fill):
        return ops.where(ops.isnan(x), np.float32(step.values), x)
    if step.center is not None:
        x = x - np.float32(step.center)
    x = x * np.float32(step.factor)
    return x if step.summand is None else x + np.float32(step.summand)


def _layers(model: Any) -> list[Any]:
    flatten = getattr(model, "_flatten_layers", None)
    return list(flatten()) if flatten else []


def _is_recurrent(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.RNN)


def _unroll(layer: Any) -> Any:
    import keras

    config = layer.get_config()
    if isinstance(layer, keras.layers.RNN):
        config["unroll"] = True
    if isinstance(layer, keras.layers.Bidirectional):
        for side in ("layer", "backward_layer"):
            if config.get(side):
                config[side]["config"]["unroll"] = True
    return layer.__class__.from_config(config)
