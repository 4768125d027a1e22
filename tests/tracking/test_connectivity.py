"""Servers that do not answer, refuse, or want a login."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ktune.cli.main import main
from ktune.errors import ServerUnavailable, StoreError
from ktune.tracking import connectivity
from ktune.tracking.location import find_store
from ktune.tracking.store import open_store

SECRET = "pa55word-4711"


@pytest.fixture
def no_server():
    """The address of a port nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def answering():
    """A function that starts a web server with one answer and returns its address."""
    servers = []

    def start(status):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"<html>")

            do_POST = do_GET

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def no_login(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")


def test_a_server_that_is_not_there_is_named_with_what_to_do(no_server):
    with pytest.raises(ServerUnavailable) as caught:
        open_store(f"http://{no_server}")
    message = str(caught.value)
    assert f"http://{no_server} does not answer: Connection refused" in message
    assert "--tracking-uri" in message


def test_a_server_that_cannot_work_now_counts_as_away(answering):
    with pytest.raises(ServerUnavailable, match="it answers with 503"):
        open_store(answering(503))


def test_a_server_that_keeps_silent_counts_as_away(monkeypatch):
    monkeypatch.setattr(connectivity, "_PROBE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(
            ServerUnavailable, match="does not answer: no answer in time"
        ):
            open_store(address)


def test_a_server_of_something_else_is_not_away_but_of_no_use(answering):
    with pytest.raises(StoreError, match="cannot be used") as caught:
        open_store(answering(404))
    assert not isinstance(caught.value, ServerUnavailable)


def test_a_server_that_wants_a_login_says_how_to_give_one(answering):
    with pytest.raises(StoreError, match="MLFLOW_TRACKING_USERNAME"):
        open_store(answering(401))


def test_a_login_in_an_address_is_kept_out_of_it():
    location = find_store("https://me:p%40ss@books.example:5000/mlflow")
    assert location.uri == location.shown == "https://books.example:5000/mlflow"
    assert (location.login.user, location.login.password) == ("me", "p@ss")
    assert "p@ss" not in repr(location)


def test_a_login_of_a_database_is_not_shown():
    location = find_store(f"postgresql://me:{SECRET}@books.example/mlflow")
    assert location.shown == "postgresql://books.example/mlflow"
    assert SECRET in location.uri
    assert SECRET not in repr(location)


def test_a_database_whose_driver_is_missing_says_what_to_install():
    with pytest.raises(StoreError, match=r"needs the package 'cymysql'") as told:
        open_store(f"mysql+cymysql://me:{SECRET}@127.0.0.1:1/mlflow")
    assert SECRET not in str(told.value)


def test_only_servers_of_mlflow_decide_where_artifacts_go():
    assert find_store("http://books.example").artifact_root is None
    assert find_store("postgresql://books.example/mlflow").artifact_root is not None


@pytest.mark.parametrize(
    "verb", ["runs", "show best", "report", "ui", "predict m x.csv"]
)
def test_no_verb_shows_a_traceback_or_the_login(
    verb, no_server, no_login, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@{no_server}")
    assert main(verb.split()) == 2
    told = "".join(capsys.readouterr())
    assert told.startswith(f"ServerAway: the MLflow server http://{no_server} does not")
    assert SECRET not in told
