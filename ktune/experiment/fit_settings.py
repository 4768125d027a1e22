"""The settings of training: the ``fit`` field of an experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from ktune.errors import ExperimentError
from ktune.utils.text import did_you_mean


@dataclass(frozen=True)
class FitSettings:
    """Settings of the training of one trial.

    Attributes:
        batch_size: Rows in one step of the optimizer.
        epochs: Maximum number of epochs.
        early_stopping: Patience in epochs without a better fold mean of the
            objective. False: train all epochs, and the last epoch is the best.
        class_weight: None, or "balanced": rows are weighted inversely to the
            frequency of their class in the training part of the fold. A dict gives the
            weights of classes, by label or class number; others weigh 1.
        resample: None; "over": training rows of rarer classes are repeated at random;
            "under": training rows of more frequent classes are dropped at random.
        learning_rate_schedule: None: the learning rate is constant; "cosine": it falls
            to nearly 0 over ``epochs``, by half a cosine.
        average_weights: Whether the model of an epoch has the mean of the weights
            after the last third of the epochs so far. It is scored and refitted so.
        callbacks: Keras callbacks, or functions that return a new callback. Each
            fold gets its own.
    """

    batch_size: int = 32
    epochs: int = 20
    early_stopping: int | Literal[False] = 5
    class_weight: Literal["balanced"] | Mapping[Any, float] | None = None
    resample: Literal["over", "under"] | None = None
    learning_rate_schedule: Literal["cosine"] | None = None
    average_weights: bool = False
    callbacks: Sequence[Any] = ()


_OPTIONS = {
    "class_weight": ("balanced",),
    "resample": ("over", "under"),
    "learning_rate_schedule": ("cosine",),
}
"""Values of settings that may also be None, or "none" for ``hp.Choice``, which does not
accept None."""


def make_fit_settings(settings: Mapping[str, Any]) -> FitSettings:
    """Validate the ``fit`` field of an experiment and add the defaults.

    Args:
        settings: Field name to value, for instance ``{"batch_size": 64}``.

    Returns:
        The complete settings.

    Raises:
        ExperimentError: One message with all problems.
    """
    problems = [*_unknown_fields(settings), *_wrong_values(settings)]
    if problems:
        raise ExperimentError("; ".join(problems))
    plain: dict[str, Any] = dict(settings)
    for name in _OPTIONS:
        if plain.get(name) == "none":
            plain[name] = None
    return FitSettings(**plain)


_SAMPLE_WEIGHT = (
    "`fit` has no setting 'sample_weight', because weights are split into folds with "
    "their rows: data=(X, y, weights), or weights='COLUMN' of a table"
)


def _unknown_fields(settings: Mapping[str, Any]) -> list[str]:
    known = [field.name for field in fields(FitSettings)]
    return [
        _SAMPLE_WEIGHT
        if name == "sample_weight"
        else f"`fit` has no setting {name!r}. Known: {', '.join(known)}."
        + did_you_mean(str(name), known)
        for name in settings
        if name not in known
    ]


def _wrong_values(settings: Mapping[str, Any]) -> list[str]:
    problems = [
        f"`fit` setting {name!r} must be an int of at least 1; got {settings[name]!r}"
        for name in ("batch_size", "epochs")
        if name in settings and not _is_count(settings[name])
    ]
    patience = settings.get("early_stopping", False)
    if patience is not False and not _is_count(patience):
        problems.append(
            "`fit` setting 'early_stopping' must be a patience in epochs (an int of "
            f"at least 1) or False; got {patience!r}"
        )
    problems += [
        problem
        for name, known in _OPTIONS.items()
        if (problem := _option_problem(name, known, settings.get(name)))
    ]
    averages = settings.get("average_weights", False)
    if not isinstance(averages, bool):
        problems.append(
            f"`fit` setting 'average_weights' must be True or False; got {averages!r}"
        )
    callbacks = settings.get("callbacks", ())
    if not isinstance(callbacks, list | tuple):
        problems.append(
            "`fit` setting 'callbacks' must be a list of Keras callbacks, or of "
            f"functions that return one; got {callbacks!r}"
        )
    return problems


def _option_problem(name: str, known: Sequence[str], value: Any) -> str | None:
    if name == "class_weight" and isinstance(value, Mapping):
        return _class_weight_problem(value)
    if value is None or (isinstance(value, str) and value in (*known, "none")):
        return None
    listed = " or ".join(repr(option) for option in known)
    return f"`fit` setting {name!r} must be None or {listed}; got {value!r}"


def _class_weight_problem(weights: Mapping[Any, Any]) -> str | None:
    bad = {
        label: weight
        for label, weight in weights.items()
        if isinstance(weight, bool)
        or not isinstance(weight, int | float)
        or not 0 <= weight < float("inf")
    }
    if not bad and weights:
        return None
    return (
        "`fit` setting 'class_weight' as a dict must give a number of 0 or more for "
        f"each class it names; got {bad or dict(weights)!r}"
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
