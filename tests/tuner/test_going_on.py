"""What is said when a search ends while its server is away."""

from types import SimpleNamespace

import pytest
import requests

from ktune.errors import SearchAborted, ServerUnavailable
from ktune.tracking.location import find_store
from ktune.tuner.resume import telling_how_to_go_on

COMMAND = "ktune search birds.py:experiment --resume 5ea4c4"


@pytest.fixture
def books():
    return SimpleNamespace(n_pending=2, is_closed=False)


@pytest.fixture
def end(books):
    """A function that ends a search with an error; it returns what is told beside."""
    store = SimpleNamespace(location=find_store("http://me:pw@books.example"))
    books.close = lambda: setattr(books, "is_closed", True)

    def end(error, expected):
        told = []
        with (
            pytest.raises(expected) as caught,
            telling_how_to_go_on(store, books, COMMAND, told.append),
        ):
            raise error
        assert books.is_closed
        return str(caught.value), told

    return end


def test_a_server_that_is_gone_is_the_error_with_what_to_do(end):
    message, told = end(requests.ConnectionError("reset by peer"), ServerUnavailable)
    assert message.startswith("the MLflow server http://books.example is unavailable: ")
    assert "2 records wait here, so nothing is lost" in message
    assert COMMAND in message
    assert told == []


def test_where_nothing_waits_nothing_is_said_to_wait(books, end):
    books.n_pending = 0
    message, _ = end(requests.ConnectionError("reset by peer"), ServerUnavailable)
    assert "records wait" not in message
    assert end(KeyboardInterrupt(), KeyboardInterrupt)[1] == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SearchAborted("all alike")])
def test_another_end_stays_what_it_is_and_what_waits_is_told(end, error):
    _, (told,) = end(error, type(error))
    assert told.startswith("2 records wait here")
    assert COMMAND in told
