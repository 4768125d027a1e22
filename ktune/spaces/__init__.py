"""Ready-made search spaces: functions of ``hp`` and the description of the data.

A preset is passed as ``build`` of an experiment. It takes shapes and output layer
from the data and returns an uncompiled model; `default_compile` then searches the
optimizer and the learning rate. The default values make a good model.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from ktune.errors import ExperimentError
from ktune.spaces.architectures import Architecture, Preset
from ktune.spaces.convolutional import Cnn
from ktune.spaces.perceptron import Mlp
from ktune.spaces.recurrent import Rnn
from ktune.utils.text import did_you_mean

__all__ = ["architecture", "cnn", "mlp", "rnn"]

_P = TypeVar("_P", Mlp, Cnn, Rnn)


def mlp(**ranges: Any) -> Mlp:
    """A multilayer perceptron, for tables and flat images; arguments as on `Mlp`."""
    return _make(Mlp, ranges)


def cnn(**ranges: Any) -> Cnn:
    """A convolutional network, for images; arguments as on `Cnn`."""
    return _make(Cnn, ranges)


def rnn(**ranges: Any) -> Rnn:
    """A recurrent network, for sequences; arguments as on `Rnn`."""
    return _make(Rnn, ranges)


def architecture(*, default: str | None = None, **presets: Preset) -> Architecture:
    """A space of several presets, chosen by a parameter; see `Architecture`.

    Example:
        >>> space = architecture(mlp=mlp(), cnn=cnn(filters=16), default="cnn")
        >>> [name for name, _ in space.presets]
        ['mlp', 'cnn']
    """
    return Architecture(tuple(presets.items()), default)


def _make(preset: type[_P], ranges: Mapping[str, Any]) -> _P:
    known = [field.name for field in fields(preset)]
    for name in ranges:
        if name not in known:
            raise ExperimentError(
                f"{preset.__name__.lower()}: there is no argument {name!r}. Known: "
                f"{', '.join(known)}." + did_you_mean(name, known)
            )
    return preset(**ranges)
