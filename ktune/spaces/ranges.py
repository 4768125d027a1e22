"""The arguments of presets: fixed values, ranges and choices.

| argument | meaning |
|---|---|
| `units=64` | fixed: neither proposed nor recorded |
| `units=(32, 512)` | a range of numbers, both ends included |
| `pooling=("max", "average")` | choices |

A default outside of the argument is replaced by the nearest end, or the first choice.
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
    hp: Any, name: str, argument: IntRange, *, default: int, doubling: bool = False
) -> int:
    """Return the fixed number, or one proposed by ``hp``.

    Args:
        hp: A `keras_tuner.HyperParameters`.
        name: Name of the parameter.
        argument: A number or a range.
        default: The value of trial 0, and of ``hp`` without a tuner.
        doubling: Search only low, 2·low, 4·low …, from a low of at least 1, for
            widths, whose effect depends on their ratio.
    """
    if isinstance(argument, int):
        return argument
    low, high = argument
    if low == high:
        return low
    default = min(max(default, low), high)
    if not doubling:
        return int(hp.Int(name, low, high, default=default))
    widths = _doubled(low, high)
    nearest = min(widths, key=lambda width: abs(width - default))
    return int(hp.Choice(name, widths, default=nearest, ordered=True))


def ask_float(hp: Any, name: str, argument: FloatRange, *, default: float) -> float:
    """Return the fixed number, or one of the range proposed by ``hp``."""
    if isinstance(argument, int | float):
        return float(argument)
    low, high = argument
    if low == high:
        return float(low)
    return float(hp.Float(name, low, high, default=min(max(default, low), high)))


def ask_choice(hp: Any, name: str, argument: Options, *, default: Any) -> Any:
    """Return the fixed value, or one of the choices proposed by ``hp``."""
    if not isinstance(argument, tuple):
        return argument
    if len(argument) == 1:
        return argument[0]
    chosen = default if default in argument else argument[0]
    if all(isinstance(option, bool) for option in argument):
        return hp.Boolean(name, default=chosen)
    return hp.Choice(name, list(argument), default=chosen)


def check_range(preset: str, name: str, argument: Any, *, least: _Number) -> None:
    """Check a number or range of a preset.

    Args:
        preset: Name of the preset, for the message.
        name: Name of the argument.
        argument: A number, or a pair (low, high).
        least: The smallest valid number.

    Raises:
        ExperimentError: The argument is neither, its ends are swapped, or a number
            is too small.
    """
    ends = argument if isinstance(argument, tuple) else (argument, argument)
    kind = int if isinstance(least, int) else (int, float)
    is_range = len(ends) == 2 and all(
        isinstance(end, kind) and not isinstance(end, bool) for end in ends
    )
    if is_range and least <= ends[0] <= ends[1]:
        return
    word = "whole number" if isinstance(least, int) else "number"
    raise ExperimentError(
        f"{preset}: `{name}` must be a {word} of at least {least}, or a range "
        f"(low, high) of them; got {argument!r}"
    )


def check_options(preset: str, name: str, argument: Any, known: Sequence[Any]) -> None:
    """Check a value or the choices of a preset.

    Raises:
        ExperimentError: One of the values is unknown.
    """
    options = argument if isinstance(argument, tuple) else (argument,)
    unknown = [option for option in options if option not in known]
    if unknown or not options:
        raise ExperimentError(
            f"{preset}: `{name}` must be one of {', '.join(map(repr, known))}, or a "
            f"tuple of them; got {argument!r}"
        )


def _doubled(low: int, high: int) -> list[int]:
    widths = [low]
    while widths[-1] * 2 <= high:
        widths.append(widths[-1] * 2)
    return widths
