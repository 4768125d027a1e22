"""How a model is trained: what the ``fit`` field of an experiment may say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from ktune.errors import ExperimentError
from ktune.utils.text import did_you_mean


@dataclass(frozen=True)
class FitSettings:
    """Settings of one trial's training.

    Attributes:
        batch_size: Rows in one step of the optimizer.
        epochs: The most epochs a fold is trained.
        early_stopping: Patience in epochs without a better fold mean of the
            objective. False: train all epochs, choose none, the last one counts.
        class_weight: None, or "balanced": rows are weighted inversely to the
            frequency of their class in the training part of the fold.
        resample: None; "over": training rows of rarer classes are repeated at random;
            "under": training rows of more frequent classes are left out at random.
        callbacks: Keras callbacks, or functions that return a new one. Each fold
            gets its own.
    """

    batch_size: int = 32
    epochs: int = 20
    early_stopping: int | Literal[False] = 5
    class_weight: Literal["balanced"] | None = None
    resample: Literal["over", "under"] | None = None
    callbacks: Sequence[Any] = ()


_OPTIONS = {"class_weight": ("balanced",), "resample": ("over", "under")}
"""Settings that are one of these, or None; "none" says that in ``hp.Choice``, which
takes no None."""


def make_fit_settings(given: Mapping[str, Any]) -> FitSettings:
    """Check what the user's ``fit`` says and fill in the defaults.

    Args:
        given: Field name to value, for instance ``{"batch_size": 64}``.

    Returns:
        The complete settings.

    Raises:
        ExperimentError: With every problem found, in one message.
    """
    problems = [*_unknown_fields(given), *_wrong_values(given)]
    if problems:
        raise ExperimentError("; ".join(problems))
    plain: dict[str, Any] = dict(given)
    for name in _OPTIONS:
        if plain.get(name) == "none":
            plain[name] = None
    return FitSettings(**plain)


def _unknown_fields(given: Mapping[str, Any]) -> list[str]:
    known = [field.name for field in fields(FitSettings)]
    return [
        f"`fit` has no setting {name!r}. Known: {', '.join(known)}."
        + did_you_mean(str(name), known)
        for name in given
        if name not in known
    ]


def _wrong_values(given: Mapping[str, Any]) -> list[str]:
    problems = [
        f"`fit` setting {name!r} must be an int of at least 1; got {given[name]!r}"
        for name in ("batch_size", "epochs")
        if name in given and not _is_count(given[name])
    ]
    patience = given.get("early_stopping", False)
    if patience is not False and not _is_count(patience):
        problems.append(
            "`fit` setting 'early_stopping' must be a patience in epochs (an int of "
            f"at least 1) or False; got {patience!r}"
        )
    problems += [
        problem
        for name, known in _OPTIONS.items()
        if (problem := _option_problem(name, known, given.get(name)))
    ]
    callbacks = given.get("callbacks", ())
    if not isinstance(callbacks, list | tuple):
        problems.append(
            "`fit` setting 'callbacks' must be a list of Keras callbacks, or of "
            f"functions that return one; got {callbacks!r}"
        )
    return problems


def _option_problem(name: str, known: Sequence[str], value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in (*known, "none")):
        return None
    listed = " or ".join(repr(option) for option in known)
    return f"`fit` setting {name!r} must be None or {listed}; got {value!r}"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
