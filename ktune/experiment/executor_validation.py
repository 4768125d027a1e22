"""Validation of the fields that select an executor."""

from collections.abc import Callable, Mapping
from typing import Any


def executor_problems(fields: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each contradiction between fields."""
    executor = fields.get("executor")
    problems = []
    if executor in ("serial", "processes") and fields.get("ray_address") is not None:
        problems.append(
            f"`ray_address` is for executor 'ray'; got executor={executor!r}. Leave "
            "one of them out"
        )
    if executor == "serial" and fields.get("jobs") not in (None, 1):
        problems.append(
            "executor 'serial' evaluates one trial at a time; got "
            f"jobs={fields['jobs']!r}. Leave `executor` out, or take 'processes'"
        )
    return problems


def check_ray_address(address: Any) -> str | None:
    """Return the problem with the address of a Ray cluster; None: no problem."""
    if address is None or (isinstance(address, str) and address):
        return None
    return f"`ray_address` must be 'HOST:PORT', 'auto' or None; got {address!r}"


def check_share(name: str, *, may_be_zero: bool = False) -> Callable[[Any], str | None]:
    """Return a check of CPUs or GPUs: a share of one, or a whole number, as in Ray."""

    def check(value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and (0 < value < 1 or (value >= 1 and value % 1 == 0)):
            return None
        if is_number and value == 0 and may_be_zero:
            return None
        return (
            f"`{name}` must be a share of one, such as 0.5, or a whole number; got "
            f"{value!r}"
        )

    return check
