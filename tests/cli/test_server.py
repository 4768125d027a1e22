"""MLflow's servers listen where they are told, else only to this machine."""

import argparse

import pytest

from ktune.cli import serve, server, ui
from ktune.cli.server import ServerError, free_port, page_server, scoring_server
from ktune.tracking.location import find_store


@pytest.mark.parametrize("verb", [ui, serve])
def test_a_verb_listens_on_this_machine_only_by_default(verb):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    words = ["model"] if verb is serve else []
    assert parser.parse_args(words).host == "127.0.0.1"
    assert parser.parse_args([*words, "--host", "0.0.0.0"]).host == "0.0.0.0"


@pytest.fixture
def started(monkeypatch):
    """Commands of servers that were to be started."""
    commands = []
    monkeypatch.setattr(
        server.subprocess, "Popen", lambda words, **more: commands.append(list(words))
    )
    return commands


def test_the_server_gets_the_interface(started, tmp_path):
    place = {"host": "127.0.0.1", "port": 5000, "log": tmp_path / "log"}
    page_server(find_store(f"sqlite:///{tmp_path}/mlflow.db"), **place)
    scoring_server(tmp_path, **place)
    assert len(started) == 2
    for command in started:
        assert command[command.index("--host") + 1] == "127.0.0.1"


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_an_error(port):
    with pytest.raises(ServerError, match=f"from 0 to 65535; got {port}"):
        free_port("127.0.0.1", port)
