"""Run a builder to find out what it asks for, and what it was given."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ktune.errors import SpaceError
from ktune.hyperparameters import ProposingHyperParameters
from ktune.searchers.parameter import Parameter, parameter_of
from ktune.trial import Value

Declare: TypeAlias = Callable[[Any], None]
"""Asks an ``hp`` for everything a trial needs; `ktune.recipe.Recipe.declare`."""

Propose: TypeAlias = Callable[[str, Parameter], Value]
"""Gets a parameter and the key it has in the ledger; answers its value."""

KeyOf: TypeAlias = Callable[[Parameter], str]


_log = logging.getLogger(__name__)


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


def discover(declare: Declare, propose: Propose, key_of: KeyOf) -> Path:
    """Run a builder, answering every parameter it asks for.

    Returns:
        What was asked and answered. If the builder raises, up to there: whoever
        evaluates the trial meets the same exception and can report it.

    Raises:
        SpaceError: A parameter cannot be honoured.
    """
    steps: list[Step] = []

    def answer(hyperparameter: Any) -> Value:
        parameter = parameter_of(hyperparameter)
        key = key_of(parameter)
        steps.append(Step(key, parameter, propose(key, parameter)))
        return steps[-1].value

    try:
        declare(ProposingHyperParameters(answer))
    except SpaceError:
        raise
    except Exception as error:
        _log.debug("the builder raised: %r", error)
    return tuple(steps)


def propose_defaults(key: str, parameter: Parameter) -> Value:
    """Answer what a builder gets without a search."""
    return parameter.default


def propose_first(answers: Sequence[tuple[str, Value]], then: Propose) -> Propose:
    """Return a proposal that gives known answers where it has them."""
    known = dict(answers)
    return lambda key, parameter: known[key] if key in known else then(key, parameter)


def values_of(path: Path) -> dict[str, Value]:
    """Return a trial's values by name, in the order they were asked for."""
    return {step.parameter.name: step.value for step in path}
