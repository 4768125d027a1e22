"""The multilayer perceptron: for tables, and for flattened images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktune.data.dataset import DataDescription
from ktune.spaces.ends import output_layer
from ktune.spaces.ranges import (
    FloatRange,
    IntRange,
    Options,
    ask_choice,
    ask_float,
    ask_int,
    check_options,
    check_range,
)

ACTIVATIONS = ("relu", "selu", "mish", "silu", "gelu", "elu", "tanh", "leaky_relu")


@dataclass(frozen=True)
class Mlp:
    """A space of dense layers with activation and dropout.

    | parameter | values | default | meaning |
    |---|---|---|---|
    | `layers` | 1 … 4 | 3 | hidden layers |
    | `units` | 32, 64 … 512 | 256 | width of the first hidden layer |
    | `shape` | constant, halving | constant | width of the further layers |
    | `activation` | relu, selu, mish | mish | |
    | `batch_norm` | no, yes | no | normalise before each activation |
    | `dropout` | 0 … 0.5 | 0.15 | after each hidden layer |

    Every argument is a range, a tuple of choices, or a single fixed value. Several
    inputs are flattened and concatenated.

    Source:
        Three layers of 256, dropout 0.15 and the activations SELU and Mish are the
        tuned defaults of RealMLP: Holzmüller, Grinsztajn, Steinwart, Better by
        Default, arXiv 2407.04491. Its numerical embeddings, schedules and
        parametrisation are left out, so that the model stays plain Keras.
    """

    layers: IntRange = (1, 4)
    units: IntRange = (32, 512)
    shape: Options = ("constant", "halving")
    activation: Options = ("relu", "selu", "mish")
    batch_norm: Options = (False, True)
    dropout: FloatRange = (0.0, 0.5)

    def __post_init__(self) -> None:
        check_range("mlp", "layers", self.layers, least=0)
        check_range("mlp", "units", self.units, least=1)
        check_range("mlp", "dropout", self.dropout, least=0.0)
        check_options("mlp", "shape", self.shape, ("constant", "halving"))
        check_options("mlp", "activation", self.activation, ACTIVATIONS)
        check_options("mlp", "batch_norm", self.batch_norm, (False, True))

    def __call__(self, hp: Any, data: DataDescription) -> Any:
        """Return the uncompiled model."""
        import keras

        inputs = _make_inputs(data)
        x = _flatten(inputs)
        n_layers = ask_int(hp, "layers", self.layers, default=3)
        if n_layers:
            x = self._hidden_layers(hp, x, n_layers)
        return keras.Model(inputs, output_layer(data)(x), name="mlp")

    def _hidden_layers(self, hp: Any, x: Any, n_layers: int) -> Any:
        import keras

        units = ask_int(hp, "units", self.units, default=256, doubling=True)
        shape = ask_choice(hp, "shape", self.shape, default="constant")
        activation = ask_choice(hp, "activation", self.activation, default="mish")
        has_norm = ask_choice(hp, "batch_norm", self.batch_norm, default=False)
        dropout = ask_float(hp, "dropout", self.dropout, default=0.15)
        for depth in range(n_layers):
            width = units if shape == "constant" else max(units // 2**depth, 1)
            x = keras.layers.Dense(width, use_bias=not has_norm)(x)
            if has_norm:
                x = keras.layers.BatchNormalization(momentum=0.9)(x)
            x = keras.layers.Activation(activation)(x)
            if dropout:
                x = keras.layers.Dropout(dropout)(x)
        return x


def _make_inputs(data: DataDescription) -> Any:
    import keras

    if isinstance(data.input_shape, Mapping):
        return {
            name: keras.Input(shape, name=name)
            for name, shape in data.input_shape.items()
        }
    return keras.Input(data.input_shape, name="input")


def _flatten(inputs: Any) -> Any:
    import keras

    if not isinstance(inputs, dict):
        return inputs if inputs.ndim == 2 else keras.layers.Flatten()(inputs)
    parts = [_flatten(part) for part in inputs.values()]
    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
