"""How the arguments of a preset say what is searched.

| argument | meaning |
|---|---|
| `units=64` | fixed: neither asked nor recorded |
| `units=(32, 512)` | a range of numbers, both ends included |
| `pooling=("max", "average")` | choices |

A default outside the range given moves to the nearest end, or to the first choice.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

from ktune.errors import ExperimentError

IntRange: TypeAlias = int | tuple[int, int]
FloatRange: TypeAlias = float | tuple[float, float]
Options: TypeAlias = Any
"""A fixed value, or a tuple of the values to choose from."""

_Number = TypeVar("_Number", int, float)


def ask_int(
    hp: Any, name: str, given: IntRange, *, default: int, doubling: bool = False
) -> int:
    """Return the fixed number, or ask ``hp`` for one.

    Args:
        hp: A `keras_tuner.HyperParameters`.
        name: Of the parameter.
        given: The number or its range.
        default: What trial 0 and ``hp`` without a tuner take.
        doubling: Try low, 2·low, 4·low … only, from a low of at least 1. Widths
            matter by their ratio: nothing is to be learned between 200 and 201.
    """
    if isinstance(given, int):
        return given
    low, high = given
    if low == high:
        return low
    default = min(max(default, low), high)
    if not doubling:
        return int(hp.Int(name, low, high, default=default))
    widths = _doubled(low, high)
    nearest = min(widths, key=lambda width: abs(width - default))
    return int(hp.Choice(name, widths, default=nearest, ordered=True))


def ask_float(hp: Any, name: str, given: FloatRange, *, default: float) -> float:
    """Return the fixed number, or ask ``hp`` for one between the ends given."""
    if isinstance(given, int | float):
        return float(given)
    low, high = given
    if low == high:
        return float(low)
    return float(hp.Float(name, low, high, default=min(max(default, low), high)))


def ask_choice(hp: Any, name: str, given: Options, *, default: Any) -> Any:
    """Return the fixed value, or ask ``hp`` for one of those given."""
    if not isinstance(given, tuple):
        return given
    if len(given) == 1:
        return given[0]
    chosen = default if default in given else given[0]
    if all(isinstance(option, bool) for option in given):
        return hp.Boolean(name, default=chosen)
    return hp.Choice(name, list(given), default=chosen)


def check_range(preset: str, name: str, given: Any, *, least: _Number) -> None:
    """Check a number or range of a preset.

    Args:
        preset: Name of the preset, for the message.
        name: Of the argument.
        given: A number, or a pair (low, high).
        least: The smallest sensible value.

    Raises:
        ExperimentError: It is neither, the ends are swapped, or it is too small.
    """
    ends = given if isinstance(given, tuple) else (given, given)
    kind = int if isinstance(least, int) else (int, float)
    is_range = len(ends) == 2 and all(
        isinstance(end, kind) and not isinstance(end, bool) for end in ends
    )
    if is_range and least <= ends[0] <= ends[1]:
        return
    word = "whole number" if isinstance(least, int) else "number"
    raise ExperimentError(
        f"{preset}: `{name}` must be a {word} of at least {least}, or a range "
        f"(low, high) of them; got {given!r}"
    )


def check_options(preset: str, name: str, given: Any, known: Sequence[Any]) -> None:
    """Check a value or the choices of a preset.

    Raises:
        ExperimentError: One of them is not known.
    """
    options = given if isinstance(given, tuple) else (given,)
    unknown = [option for option in options if option not in known]
    if unknown or not options:
        raise ExperimentError(
            f"{preset}: `{name}` must be one of {', '.join(map(repr, known))}, or a "
            f"tuple of them; got {given!r}"
        )


def _doubled(low: int, high: int) -> list[int]:
    widths = [low]
    while widths[-1] * 2 <= high:
        widths.append(widths[-1] * 2)
    return widths
