"""Advice at the end of a search whose server is unavailable."""

from types import SimpleNamespace

import pytest
import requests

from ktune.errors import ClusterLost, SearchAborted, ServerUnavailable
from ktune.tracking.location import find_store
from ktune.tuner.resume import advise_on_resume

COMMAND = "ktune search birds.py:experiment --resume 5ea4c4"


@pytest.fixture
def logger():
    return SimpleNamespace(n_pending=2, is_closed=False)


@pytest.fixture
def end(logger):
    """A function that ends a search with an error; it returns the messages."""
    store = SimpleNamespace(location=find_store("http://me:pw@mlflow.example"))
    logger.close = lambda: setattr(logger, "is_closed", True)

    def end(error, expected):
        messages = []
        with (
            pytest.raises(expected) as caught,
            advise_on_resume(store, logger, COMMAND, messages.append),
        ):
            raise error
        assert logger.is_closed
        return str(caught.value), messages

    return end


def test_an_unavailable_server_is_an_error_with_a_remedy(end):
    message, messages = end(
        requests.ConnectionError("reset by peer"), ServerUnavailable
    )
    assert message.startswith(
        "the MLflow server http://mlflow.example is unavailable: "
    )
    assert "2 records are queued here, so nothing is lost" in message
    assert COMMAND in message
    assert messages == []


def test_without_queued_records_none_are_mentioned(logger, end):
    logger.n_pending = 0
    message, _ = end(requests.ConnectionError("reset by peer"), ServerUnavailable)
    assert "records are queued" not in message


@pytest.mark.parametrize("n_pending", [0, 2])
def test_an_interrupt_outside_the_trials_has_the_command_that_continues(
    logger, end, n_pending
):
    logger.n_pending = n_pending
    message, _ = end(KeyboardInterrupt(), KeyboardInterrupt)
    assert message.startswith("interrupted. ")
    assert ("2 records are queued" in message) == bool(n_pending)
    assert COMMAND in message


def test_another_error_is_kept_and_queued_records_are_mentioned(end):
    _, (messages,) = end(SearchAborted("all alike"), SearchAborted)
    assert messages.startswith("2 records are queued here")
    assert COMMAND in messages


def test_a_lost_cluster_is_an_error_with_the_command_that_continues(end):
    message, _ = end(ClusterLost("Ray's agent has died"), ClusterLost)
    assert message.startswith("Ray's agent has died. Finished trials are recorded")
    assert message.endswith(COMMAND)
