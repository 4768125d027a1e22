"""Objectives: metrics of ktune, and metrics the model itself is compiled with."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ktune.data.dataset import Task
from ktune.errors import ExperimentError
from ktune.metrics.scores import (
    COMPILED_NAMES,
    COSTS,
    LOSS,
    LOWER_IS_BETTER,
    Direction,
    Objective,
    canonical_name,
    is_known,
    known_metrics,
)
from ktune.trial import FIT_VALUE
from ktune.utils.text import did_you_mean

_MAXIMISED = (
    "top_k_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "true_positives",
    "true_negatives",
    "precision_at_recall",
    "recall_at_precision",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "io_u",
    "binary_io_u",
    "one_hot_io_u",
    "mean_io_u",
    "one_hot_mean_io_u",
    "cosine_similarity",
    "fbeta_score",
    "pearson_correlation",
    "concordance_correlation",
)
_MINIMISED = (
    "false_positives",
    "false_negatives",
    "hinge",
    "squared_hinge",
    "categorical_hinge",
    "mean_absolute_percentage_error",
    "mape",
    "mean_squared_logarithmic_error",
    "msle",
    "log_cosh",
    "logcosh",
    "huber",
    "poisson",
    "kl_divergence",
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    FIT_VALUE,
)
_DIRECTIONS: Mapping[str, Direction] = {
    **dict.fromkeys(_MAXIMISED, "max"),
    **dict.fromkeys(_MINIMISED, "min"),
}
"""Metrics of Keras that ktune has no metric of its own for."""


def is_single_objective(given: Any) -> bool:
    """Whether ``objective`` names one: by name, by name and direction, or an object.

    Example:
        >>> is_single_objective(("val_score", "max"))
        True
        >>> is_single_objective(["f1", "n_parameters"])
        False
    """
    if isinstance(given, tuple | list):
        return len(given) == 2 and _is_direction(given[1])
    return True


def name_and_direction(given: Any) -> tuple[str, Direction | None]:
    """Return the name of an objective, and its direction where it is stated.

    Args:
        given: A name, a pair of name and direction, or a `keras_tuner.Objective`.

    Raises:
        ExperimentError: It is none of these.
    """
    if isinstance(given, str):
        return given, None
    pair = given if isinstance(given, tuple | list) else _pair_of(given)
    if len(pair) == 2 and isinstance(pair[0], str) and _is_direction(pair[1]):
        return pair[0], pair[1]
    raise ExperimentError(
        "an objective must be a name, a name with its direction such as "
        f"('val_my_metric', 'max'), or a keras_tuner.Objective; got {given!r}"
    )


def make_objective(given: Any) -> Objective:
    """Return the objective of a metric or a cost, with its direction.

    A name that is no metric of ktune is a metric the model is compiled with.

    Args:
        given: As for `name_and_direction`.

    Raises:
        ExperimentError: There is no such metric, its direction is not known, or the
            direction stated is not that of the metric.
    """
    name, stated = name_and_direction(given)
    if name in COSTS:
        return Objective(name, _agreed(name, "min", stated))
    if is_known(name):
        metric = canonical_name(name)
        natural: Direction = "min" if metric in LOWER_IS_BETTER else "max"
        return Objective(metric, _agreed(name, natural, stated))
    bare = name.removeprefix("val_")
    direction = stated or _DIRECTIONS.get(bare)
    if direction is None and not _is_misspelled(bare):
        direction = _direction_of_compiled(bare)
    if direction is not None:
        return Objective(bare, direction)
    try:
        canonical_name(name)
    except ExperimentError as error:
        raise ExperimentError(
            f"{error}{did_you_mean(name, COSTS)} If the model is compiled with this "
            f"metric, state its direction: objective=('val_{bare}', 'max')"
        ) from None
    raise AssertionError(name)


def objective_of_task(given: Any, task: Task) -> Objective:
    """Return the objective of a task.

    That of a custom task is the loss or a compiled metric, by its name in Keras's logs;
    a metric of one of several outputs has the name of the output in front.

    Args:
        given: As for `name_and_direction`.
        task: The task.

    Raises:
        ExperimentError: There is no such metric, or its direction is not known.

    Example:
        >>> objective_of_task("val_mask_io_u", Task.CUSTOM)
        Objective(metric='mask_io_u', direction='max')
    """
    name, stated = name_and_direction(given)
    if task is not Task.CUSTOM or name in COSTS:
        return make_objective(given)
    bare = name.removeprefix("val_")
    direction = stated or _direction_of_compiled(bare)
    if direction is None:
        raise ExperimentError(
            f"the direction of objective {name!r} is not known. State it: "
            f"objective=('val_{bare}', 'max')"
        )
    return Objective(bare, direction)


def _is_misspelled(bare: str) -> bool:
    """Whether a name is nearly that of a metric, and not that of an output's metric."""
    return bool(difflib.get_close_matches(bare, known_metrics(), n=1, cutoff=0.85))


def _direction_of_compiled(bare: str) -> Direction | None:
    """Return the direction of a compiled metric, of one output or of the model."""
    words = bare.split("_")
    for first in range(len(words)):
        name = "_".join(words[first:])
        if name in _DIRECTIONS:
            return _DIRECTIONS[name]
        if name in COMPILED_NAMES:
            return "min" if canonical_name(name) in LOWER_IS_BETTER else "max"
    return None


def is_of_model(metric: str, task: Task | None = None) -> bool:
    """Whether the model computes a metric itself: its loss, and what it compiles.

    Of a custom task, it computes all.
    """
    if metric in COSTS:
        return False
    return task is Task.CUSTOM or metric == LOSS or not is_known(metric)


def of_predictions(metrics: Iterable[str], task: Task | None = None) -> tuple[str, ...]:
    """Return the metrics that predictions and targets are enough for."""
    return tuple(name for name in metrics if not is_of_model(name, task))


def _is_direction(word: Any) -> bool:
    return isinstance(word, str) and word in ("max", "min")


def _pair_of(given: Any) -> tuple[Any, Any]:
    return getattr(given, "name", None), getattr(given, "direction", None)


def _agreed(name: str, natural: Direction, stated: Direction | None) -> Direction:
    if stated in (None, natural):
        return natural
    better = "smaller" if natural == "min" else "larger"
    raise ExperimentError(
        f"objective {name!r} is better the {better} it is; got direction {stated!r}"
    )
