"""Run a builder in a worker, with values that the driver proposes.

The worker sends each hyperparameter that the builder requests, and receives a
`Proposal`; at its end it sends `Declared`.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ktune.trial import Value


@dataclass(frozen=True)
class Proposal:
    """The value of a hyperparameter; None: stop the builder."""

    value: Value | None


@dataclass(frozen=True)
class Declared:
    """Message of a worker whose builder has requested all its values, or has raised."""


class _Stopped(BaseException):
    """Stops a builder; an ``except Exception`` in it lets it pass."""


def run_builder(
    declare: Callable[[Any], None], request: Callable[[Any], Proposal]
) -> None:
    """Run a builder in this worker.

    An exception of the builder ends it: the evaluation of the trial raises the same
    exception and reports it.

    Args:
        declare: `Work.declare`.
        request: Sends a hyperparameter to the driver, and returns the answer.
    """
    # Imported here, after Keras.
    from ktune.spaces.hyperparameters import ProposingHyperParameters

    def propose(hyperparameter: Any) -> Value:
        proposal = request(hyperparameter)
        if proposal.value is None:
            raise _Stopped
        return proposal.value

    with contextlib.suppress(Exception, SystemExit, _Stopped):
        declare(ProposingHyperParameters(propose))


class Proposer:
    """Answers the requests of a builder in the driver.

    Args:
        hp: Proposes the value of each hyperparameter by ``hp.propose``.
    """

    def __init__(self, hp: Any) -> None:
        self._hp = hp
        self._proposals: list[Proposal] = []
        self._n_answered = 0
        self._failure: BaseException | None = None

    def answer(self, hyperparameter: Any) -> Proposal:
        """Return the value of the next hyperparameter that the builder requests."""
        if self._n_answered == len(self._proposals):
            self._proposals.append(self._propose(hyperparameter))
        self._n_answered += 1
        return self._proposals[self._n_answered - 1]

    def restart(self) -> None:
        """Give the same answers to a builder that runs once more."""
        self._n_answered = 0

    def raise_failure(self) -> None:
        """Raise the exception of ``hp.propose``, if it has raised one."""
        if self._failure is not None:
            raise self._failure

    def _propose(self, hyperparameter: Any) -> Proposal:
        if self._failure is None:
            try:
                return Proposal(self._hp.propose(hyperparameter))
            except BaseException as error:
                self._failure = error
        return Proposal(None)
