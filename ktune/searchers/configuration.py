"""A configuration as it came about: what was asked, and what was answered."""

from dataclasses import dataclass
from typing import TypeAlias

from ktune.searchers.parameter import Parameter
from ktune.trial import Value


@dataclass(frozen=True)
class Assignment:
    """One answer of a searcher to a builder.

    Attributes:
        key: What the ledger calls the parameter; see `TrialStore.key_of`.
        parameter: As it was declared.
        value: What the builder got.
    """

    key: str
    parameter: Parameter
    value: Value


Configuration: TypeAlias = tuple[Assignment, ...]
"""Everything a builder asked for, in order: a trial."""


def values_of(path: Configuration) -> dict[str, Value]:
    """Return a trial's values by name, in the order they were asked for."""
    return {step.parameter.name: step.value for step in path}
