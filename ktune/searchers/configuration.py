"""A configuration: the hyperparameters that a builder requested, with their values."""

from dataclasses import dataclass
from typing import TypeAlias

from ktune.searchers.parameter import Parameter
from ktune.trial import Value


@dataclass(frozen=True)
class Assignment:
    """A parameter with the value that a builder got for it.

    Attributes:
        key: Key of the parameter in the trial store; see `TrialStore.key_of`.
        parameter: The parameter as declared.
        value: The value.
    """

    key: str
    parameter: Parameter
    value: Value


Configuration: TypeAlias = tuple[Assignment, ...]
"""All assignments of a trial, in the order of the builder's requests."""


def values_of(configuration: Configuration) -> dict[str, Value]:
    """Return the values of a trial by name, in the order of the builder's requests."""
    return {assignment.parameter.name: assignment.value for assignment in configuration}
