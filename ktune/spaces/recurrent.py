"""The recurrent network: for sequences of numbers or tokens."""

from dataclasses import dataclass
from typing import Any

from ktune.data.dataset import DataDescription
from ktune.errors import ExperimentError
from ktune.spaces.ends import output_layer, single_shape
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

CELLS = ("lstm", "gru")


@dataclass(frozen=True)
class Rnn:
    """A space of LSTM or GRU layers; the last state feeds the output layer.

    | parameter | values | default | meaning |
    |---|---|---|---|
    | `embedding` | 16, 32 … 128 | 64 | size of a token's vector; only for tokens |
    | `cell` | lstm, gru | lstm | |
    | `layers` | 1 … 2 | 1 | recurrent layers |
    | `units` | 16, 32 … 128 | 64 | of each direction |
    | `bidirectional` | no, yes | no | read both ways |
    | `dropout` | 0 … 0.5 | 0.2 | after each recurrent layer |

    Every argument but ``vocabulary`` is a range, a tuple of choices, or a single
    fixed value.

    A row is a sequence of numbers (steps, features), of tokens (steps,), or an image,
    whose lines are the steps.

    Attributes:
        vocabulary: Number of different tokens, counted from 0; required for sequences
            of tokens. Token 0 is padding and is masked.
    """

    vocabulary: int | None = None
    embedding: IntRange = (16, 128)
    cell: Options = CELLS
    layers: IntRange = (1, 2)
    units: IntRange = (16, 128)
    bidirectional: Options = (False, True)
    dropout: FloatRange = (0.0, 0.5)

    def __post_init__(self) -> None:
        if self.vocabulary is not None:
            check_range("rnn", "vocabulary", self.vocabulary, least=1)
        check_range("rnn", "embedding", self.embedding, least=1)
        check_range("rnn", "layers", self.layers, least=1)
        check_range("rnn", "units", self.units, least=1)
        check_range("rnn", "dropout", self.dropout, least=0.0)
        check_options("rnn", "cell", self.cell, CELLS)
        check_options("rnn", "bidirectional", self.bidirectional, (False, True))

    def __call__(self, hp: Any, data: DataDescription) -> Any:
        """Return the uncompiled model.

        Raises:
            ExperimentError: The data are no sequences, or ``vocabulary`` is missing.
        """
        import keras

        shape = single_shape(
            data, "rnn", ranks=(1, 2, 3), needs="sequences (steps[, features])"
        )
        inputs = keras.Input(shape, name="input")
        x = self._layers(hp, self._steps(hp, inputs, data))
        return keras.Model(inputs, output_layer(data)(x), name="rnn")

    def _steps(self, hp: Any, inputs: Any, data: DataDescription) -> Any:
        """Return the sequence as (batch, steps, features)."""
        import keras

        if inputs.ndim == 2:
            return self._embed(hp, inputs, data)
        if inputs.ndim == 3:
            return inputs
        return keras.layers.Reshape((inputs.shape[1], -1))(inputs)

    def _embed(self, hp: Any, inputs: Any, data: DataDescription) -> Any:
        import keras

        if self.vocabulary is None:
            raise ExperimentError(
                f"rnn: a row of {data.name} has shape {data.input_shape}. If these are "
                "tokens, say how many there are: rnn(vocabulary=…); if numbers, give "
                "them a last axis: X[..., None]."
            )
        size = ask_int(hp, "embedding", self.embedding, default=64, doubling=True)
        return keras.layers.Embedding(self.vocabulary, size, mask_zero=True)(inputs)

    def _layers(self, hp: Any, x: Any) -> Any:
        import keras

        cell = ask_choice(hp, "cell", self.cell, default="lstm")
        n_layers = ask_int(hp, "layers", self.layers, default=1)
        units = ask_int(hp, "units", self.units, default=64, doubling=True)
        reads_both_ways = ask_choice(
            hp, "bidirectional", self.bidirectional, default=False
        )
        dropout = ask_float(hp, "dropout", self.dropout, default=0.2)
        kind = keras.layers.LSTM if cell == "lstm" else keras.layers.GRU
        for index in range(n_layers):
            layer = kind(units, return_sequences=index < n_layers - 1)
            x = (keras.layers.Bidirectional(layer) if reads_both_ways else layer)(x)
            if dropout:
                x = keras.layers.Dropout(dropout)(x)
        return x
