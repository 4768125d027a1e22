"""A configuration as it came about: what was asked, and what was answered."""

from dataclasses import dataclass
from typing import TypeAlias

from ktune.searchers.parameter import Parameter
from ktune.trial import Value


@dataclass(frozen=True)
class Step:
    """One answer of a searcher to a builder.

    Attributes:
        key: What the ledger calls the parameter; see `Ledger.key_of`.
        parameter: As it was declared.
        value: What the builder got.
    """

    key: str
    parameter: Parameter
    value: Value


Path: TypeAlias = tuple[Step, ...]
"""Everything a builder asked for, in order: a trial."""


def values_of(path: Path) -> dict[str, Value]:
    """Return a trial's values by name, in the order they were asked for."""
    return {step.parameter.name: step.value for step in path}
