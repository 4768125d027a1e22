"""Initial weights of the folds: the weights of ``build`` with each fold's seed.

Building a Keras model takes some 20 ms, longer than training a small model for an
epoch. The models of the folds differ only in the seeds of their initializers, so one
is built, and the weights of the others are drawn from its initializers with the seeds
that a build would have drawn. If this method does not reproduce the weights of the
built model, a model is built for every fold.
"""

import copy
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ktune.protocols import TrainingTask
from ktune.trainers.common import build_model
from ktune.trainers.seeding import seeds_drawn, would_draw
from ktune.trainers.weight_averaging import set_flat_weights

Start: TypeAlias = tuple[np.ndarray, list[Any]]
"""A model's flat trainable weights, and the values of its other variables."""

_INITIALIZER_NAMES = {
    "recurrent_kernel": "recurrent_initializer",
    "depthwise_kernel": "depthwise_initializer",
    "pointwise_kernel": "pointwise_initializer",
}
"""Initializers of weights that are not named like ``kernel`` + ``_initializer``."""


def build_first(task: TrainingTask) -> tuple[Any, list[Start]]:
    """Build the model of fold 0.

    Returns:
        The model, and the start of every fold.
    """
    model = build_model(task, 0)
    drawn = seeds_drawn(task.seeds[0])
    starts = None if drawn is None else _derive_starts(model, drawn, task.seeds)
    if starts is None:
        others = [build_model(task, index) for index in range(1, len(task.folds))]
        starts = [start_of(each) for each in [model, *others]]
    return model, starts


def start_of(model: Any) -> Start:
    """Return the values of a model's variables."""
    return _flat([v.numpy() for v in model.trainable_variables]), [
        v.numpy() for v in model.non_trainable_variables
    ]


def set_weights(model: Any, weights: np.ndarray, rest: list[Any]) -> None:
    """Set the values of `start_of` in a model."""
    set_flat_weights(model, weights)
    for variable, value in zip(model.non_trainable_variables, rest, strict=True):
        variable.assign(value)


def _derive_starts(
    model: Any, drawn: list[int], seeds: Sequence[int]
) -> list[Start] | None:
    """Return the start of every fold; None if that of the first is not reproduced."""
    sources = _value_sources(model)
    # A drawn seed without a variable comes from the user's code, which may draw
    # another number of seeds with another fold seed.
    if sources is None or not set(drawn) <= {_seed_of(source) for source in sources}:
        return None
    starts = []
    for seed in seeds:
        new_seeds = dict(zip(drawn, would_draw(seed, len(drawn)), strict=True))
        values = [_initial_value(source, new_seeds) for source in sources]
        n_trainable = len(model.trainable_variables)
        starts.append((_flat(values[:n_trainable]), values[n_trainable:]))
    return starts if _equal(starts[0], start_of(model)) else None


def _value_sources(model: Any) -> list[Any] | None:
    """Return the source of each variable's initial value; None if one is unknown.

    A source is the value itself, or an initializer with its variable.
    """
    initializers = _initializers(model)
    sources = []
    for variable in [*model.trainable_variables, *model.non_trainable_variables]:
        source = _value_source(variable, initializers.get(id(variable)))
        if source is None:
            return None
        sources.append(source)
    return sources


def _value_source(variable: Any, initializer: Any) -> Any:
    value = variable.numpy()
    if variable.name == "seed_generator_state":
        return value
    if isinstance(getattr(initializer, "seed", None), int):
        is_own = type(initializer).__module__.startswith("keras.")
        return (initializer, variable) if is_own else None
    # Zeros, ones and mixtures of them (the bias of an LSTM) are equal in all folds.
    return value if np.isin(value, (0, 1)).all() else None


def _initial_value(source: Any, new_seeds: dict[int, int]) -> np.ndarray:
    """Return the initial value of a variable with the seeds of another fold."""
    seed = _seed_of(source)
    if seed is None:
        return np.asarray(source)
    seed = new_seeds.get(seed, seed)  # a seed that was not drawn was set by the user
    if isinstance(source, np.ndarray):
        return np.array([seed, source[1]], source.dtype)
    initializer, variable = source
    fresh = copy.copy(initializer)
    fresh.seed = seed
    return np.asarray(fresh(variable.shape, dtype=variable.dtype))


def _seed_of(source: Any) -> int | None:
    if not isinstance(source, np.ndarray):
        return int(source[0].seed)
    is_generator = source.dtype == np.int64 and source.shape == (2,)
    return int(source[0]) if is_generator else None


def _initializers(model: Any) -> dict[int, Any]:
    """Return the initializer of each weight, by the id of the variable."""
    by_id = {}
    for layer in model._flatten_layers():
        for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
            name = _INITIALIZER_NAMES.get(variable.name, f"{variable.name}_initializer")
            by_id[id(variable)] = getattr(layer, name, None)
    return by_id


def _flat(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([value.ravel() for value in values])


def _equal(one: Start, other: Start) -> bool:
    return np.array_equal(one[0], other[0]) and all(
        np.array_equal(a, b) for a, b in zip(one[1], other[1], strict=True)
    )
