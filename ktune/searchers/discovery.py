"""Run a builder to find out what it asks for, and what it was given."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ktune.errors import SpaceError
from ktune.searchers.configuration import Assignment, Configuration
from ktune.searchers.parameter import Parameter, parameter_of
from ktune.spaces.hyperparameters import ProposingHyperParameters
from ktune.trial import Value

Declare: TypeAlias = Callable[[Any], None]
"""Asks an ``hp`` for everything a trial needs; `Recipe.declare`."""

Propose: TypeAlias = Callable[[str, Parameter], Value]
"""Gets a parameter and the key it has in the ledger; answers its value."""

KeyOf: TypeAlias = Callable[[Parameter], str]


_log = logging.getLogger(__name__)


def discover(declare: Declare, propose: Propose, key_of: KeyOf) -> Configuration:
    """Run a builder, answering every parameter it asks for.

    Returns:
        What was asked and answered. If the builder raises, up to there: whoever
        evaluates the trial meets the same exception and can report it.

    Raises:
        SpaceError: A parameter cannot be honoured.
    """
    steps: list[Assignment] = []

    def answer(hyperparameter: Any) -> Value:
        parameter = parameter_of(hyperparameter)
        key = key_of(parameter)
        steps.append(Assignment(key, parameter, propose(key, parameter)))
        return steps[-1].value

    try:
        declare(ProposingHyperParameters(answer))
    except SpaceError:
        raise
    except (Exception, SystemExit) as error:
        _log.debug("the builder raised: %r", error)
    return tuple(steps)


def propose_given(values: Mapping[str, Value]) -> Propose:
    """Return a proposal of a user's values, and of defaults for others.

    Raises:
        SpaceError: When asked for a value that is not possible.
    """

    def propose(key: str, parameter: Parameter) -> Value:
        if parameter.name not in values:
            return parameter.default
        value = values[parameter.name]
        if not parameter.admits(value):
            raise SpaceError(
                f"parameter {parameter.name!r} cannot be {value!r}: it is "
                f"{parameter.describe()}"
            )
        return parameter.plain(value)

    return propose


def propose_first(answers: Sequence[tuple[str, Value]], then: Propose) -> Propose:
    """Return a proposal that gives known answers where it has them."""
    known = dict(answers)
    return lambda key, parameter: known[key] if key in known else then(key, parameter)
