"""The weights folds start from: those ``build`` gives under each fold's seed.

Building a Keras model takes some 20 ms, which for a small one is longer than training
it for an epoch. The folds' models differ in nothing but the seeds of their
initializers, so one is built and the others' weights are drawn from its initializers
with the seeds that building them would have drawn. Where that cannot be shown to give
the same weights, every fold's model is built after all.
"""

import copy
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ktune.protocols import TrainingTask
from ktune.trainers.common import build_model
from ktune.trainers.seeding import seeds_drawn, would_draw

Start: TypeAlias = tuple[np.ndarray, list[Any]]
"""A model's flat trainable weights, and the values of its other variables."""

_INITIALIZER_NAMES = {
    "recurrent_kernel": "recurrent_initializer",
    "depthwise_kernel": "depthwise_initializer",
    "pointwise_kernel": "pointwise_initializer",
}
"""Where a weight's name does not tell its initializer's (kernel_initializer …)."""


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
    """Write what `start_of` reads back into a model."""
    position = 0
    for variable in model.trainable_variables:
        size = int(np.prod(variable.shape))
        variable.assign(weights[position : position + size].reshape(variable.shape))
        position += size
    for variable, value in zip(model.non_trainable_variables, rest, strict=True):
        variable.assign(value)


def _derive_starts(
    model: Any, drawn: list[int], seeds: Sequence[int]
) -> list[Start] | None:
    """Return every fold's start, or None where the first fold's is not met."""
    recipes = _recipes(model)
    # A draw that no variable shows was the user's own, and may have taken more or
    # less from the generator under another seed.
    if recipes is None or not set(drawn) <= {_seed_of(builder) for builder in recipes}:
        return None
    starts = []
    for seed in seeds:
        renewed = dict(zip(drawn, would_draw(seed, len(drawn)), strict=True))
        values = [_follow(builder, renewed) for builder in recipes]
        n_trainable = len(model.trainable_variables)
        starts.append((_flat(values[:n_trainable]), values[n_trainable:]))
    return starts if _equal(starts[0], start_of(model)) else None


def _recipes(model: Any) -> list[Any] | None:
    """Say for each variable how its first value comes about; None: it is unclear.

    A recipe is the value itself, or an initializer with the shape it is called for.
    """
    initializers = _initializers(model)
    recipes = []
    for variable in [*model.trainable_variables, *model.non_trainable_variables]:
        builder = _recipe(variable, initializers.get(id(variable)))
        if builder is None:
            return None
        recipes.append(builder)
    return recipes


def _recipe(variable: Any, initializer: Any) -> Any:
    value = variable.numpy()
    if variable.name == "seed_generator_state":
        return value
    if isinstance(getattr(initializer, "seed", None), int):
        is_own = type(initializer).__module__.startswith("keras.")
        return (initializer, variable) if is_own else None
    # Zeros, ones and mixtures of them (the bias of an LSTM) are the same in all folds.
    return value if np.isin(value, (0, 1)).all() else None


def _follow(builder: Any, renewed: dict[int, int]) -> np.ndarray:
    """Return a variable's value with the seeds of another fold."""
    seed = _seed_of(builder)
    if seed is None:
        return np.asarray(builder)
    seed = renewed.get(seed, seed)  # one that was not drawn is the user's choice
    if isinstance(builder, np.ndarray):
        return np.array([seed, builder[1]], builder.dtype)
    initializer, variable = builder
    fresh = copy.copy(initializer)
    fresh.seed = seed
    return np.asarray(fresh(variable.shape, dtype=variable.dtype))


def _seed_of(builder: Any) -> int | None:
    if not isinstance(builder, np.ndarray):
        return int(builder[0].seed)
    is_generator = builder.dtype == np.int64 and builder.shape == (2,)
    return int(builder[0]) if is_generator else None


def _initializers(model: Any) -> dict[int, Any]:
    """Return the initializer of each weight, by the id of the variable."""
    found = {}
    for layer in model._flatten_layers():
        for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
            name = _INITIALIZER_NAMES.get(variable.name, f"{variable.name}_initializer")
            found[id(variable)] = getattr(layer, name, None)
    return found


def _flat(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([value.ravel() for value in values])


def _equal(one: Start, other: Start) -> bool:
    return np.array_equal(one[0], other[0]) and all(
        np.array_equal(a, b) for a, b in zip(one[1], other[1], strict=True)
    )
