"""Builders that run in a worker, with values of the driver."""

import pytest

from ktune.errors import SpaceError
from ktune.executors.declaring import Proposer, run_builder
from ktune.spaces.hyperparameters import ProposingHyperParameters


def declare(hp):
    hp.Int("units", 1, 9)
    try:
        hp.Choice("kind", ["a", "b"])
    except Exception:
        hp.Float("rate", 0.1, 0.9)


@pytest.fixture
def requested():
    """Names of the hyperparameters that the driver has proposed values for."""
    return []


@pytest.fixture
def proposer(requested):
    def propose(hyperparameter):
        requested.append(hyperparameter.name)
        if hyperparameter.name == "kind":
            raise SpaceError("too many values")
        return len(requested)

    return Proposer(ProposingHyperParameters(propose))


def test_a_builder_that_runs_again_gets_the_values_of_its_first_run(
    proposer, requested
):
    def lose_worker(hyperparameter):
        proposer.answer(hyperparameter)
        raise SystemExit

    run_builder(declare, lose_worker)
    proposer.restart()
    answers = []

    def request(hyperparameter):
        answers.append(proposer.answer(hyperparameter))
        return answers[-1]

    run_builder(declare, request)
    assert [answer.value for answer in answers] == [1, None]
    assert requested == ["units", "kind"]


def test_a_value_that_cannot_be_proposed_stops_the_builder_and_is_raised_at_its_end(
    proposer, requested
):
    run_builder(declare, proposer.answer)
    assert requested == ["units", "kind"]
    with pytest.raises(SpaceError, match="too many values"):
        proposer.raise_failure()
