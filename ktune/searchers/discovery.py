"""Run a builder to discover the hyperparameters it requests."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from ktune.errors import SpaceError
from ktune.searchers.configuration import Assignment, Configuration
from ktune.searchers.parameter import Parameter, parameter_of
from ktune.spaces.hyperparameters import ProposingHyperParameters
from ktune.trial import Value

Declare: TypeAlias = Callable[[Any], None]
"""Requests all hyperparameters of a trial from an ``hp``; `ModelBuilder.declare`."""

Propose: TypeAlias = Callable[[str, Parameter], Value]
"""Returns a value for a parameter, given its key in the trial store and itself."""

KeyOf: TypeAlias = Callable[[Parameter], str]

_log = logging.getLogger(__name__)


class _Stopped(BaseException):
    """Stops a builder; an ``except Exception`` in it lets it pass."""


def discover(
    declare: Declare,
    propose: Propose,
    key_of: KeyOf,
    *,
    notify: Callable[[Configuration], None] = lambda _: None,
    stop_at: Collection[Configuration] = (),
) -> Configuration:
    """Run a builder with a proposed value for each parameter it requests.

    Args:
        declare: Runs the builder.
        propose: Returns the values.
        key_of: Returns the key of a parameter.
        notify: Called with the assignments so far, before the builder goes on.
        stop_at: Assignments after which the builder must not go on.

    Returns:
        The assignments, up to the point where the builder raises, if it does: the
        evaluation of the trial raises the same exception and reports it.

    Raises:
        SpaceError: A parameter is not supported.
    """
    assignments: list[Assignment] = []

    def assign(hyperparameter: Any) -> Value:
        parameter = parameter_of(hyperparameter)
        key = key_of(parameter)
        assignments.append(Assignment(key, parameter, propose(key, parameter)))
        check()
        return assignments[-1].value

    def check() -> None:
        configuration = tuple(assignments)
        if configuration in stop_at:
            raise _Stopped
        notify(configuration)

    try:
        check()
        declare(ProposingHyperParameters(assign))
    except SpaceError:
        raise
    except (Exception, SystemExit, _Stopped) as error:
        _log.debug("the builder raised: %r", error)
    return tuple(assignments)


def propose_values(values: Mapping[str, Value]) -> Propose:
    """Return a proposal of a user's values, and of defaults for other parameters.

    Raises:
        SpaceError: The proposal is called for a value outside the space.
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


def propose_known(known: Sequence[tuple[str, Value]], fallback: Propose) -> Propose:
    """Return a proposal of known values by key, with a fallback for other keys."""
    values = dict(known)
    return lambda key, parameter: (
        values[key] if key in values else fallback(key, parameter)
    )
