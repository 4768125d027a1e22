"""Servers that do not answer, refuse, or require a login."""

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
    """The address of a port without a listener."""
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


def test_an_unavailable_server_is_named_with_a_remedy(no_server):
    with pytest.raises(ServerUnavailable) as caught:
        open_store(f"http://{no_server}")
    message = str(caught.value)
    assert f"http://{no_server} does not answer: Connection refused" in message
    assert "--tracking-uri" in message


def test_a_server_with_status_503_counts_as_unavailable(answering):
    with pytest.raises(ServerUnavailable, match="it answers with 503"):
        open_store(answering(503))


def test_a_server_that_does_not_respond_counts_as_unavailable(monkeypatch):
    monkeypatch.setattr(connectivity, "_PROBE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(
            ServerUnavailable, match="does not answer: no answer in time"
        ):
            open_store(address)


def test_a_server_of_something_else_is_available_but_unusable(answering):
    with pytest.raises(StoreError, match="cannot be used") as caught:
        open_store(answering(404))
    assert not isinstance(caught.value, ServerUnavailable)


def test_a_server_that_requires_a_login_gets_an_error_with_the_variables(answering):
    with pytest.raises(StoreError, match="MLFLOW_TRACKING_USERNAME"):
        open_store(answering(401))


def test_a_login_in_an_address_is_kept_out_of_it():
    location = find_store("https://me:p%40ss@mlflow.example:5000/mlflow")
    assert location.uri == location.shown == "https://mlflow.example:5000/mlflow"
    assert (location.login.user, location.login.password) == ("me", "p@ss")
    assert "p@ss" not in repr(location)


def test_a_login_of_a_database_is_not_shown():
    location = find_store(f"postgresql://me:{SECRET}@mlflow.example/mlflow")
    assert location.shown == "postgresql://mlflow.example/mlflow"
    assert SECRET in location.uri
    assert SECRET not in repr(location)


def test_a_database_whose_driver_is_missing_says_what_to_install():
    with pytest.raises(StoreError, match=r"needs the package 'cymysql'") as caught:
        open_store(f"mysql+cymysql://me:{SECRET}@127.0.0.1:1/mlflow")
    assert SECRET not in str(caught.value)


def test_only_servers_of_mlflow_decide_where_artifacts_go():
    assert find_store("http://mlflow.example").artifact_root is None
    assert find_store("postgresql://mlflow.example/mlflow").artifact_root is not None


@pytest.mark.parametrize(
    "verb", ["runs", "show best", "report", "ui", "predict m x.csv"]
)
def test_no_verb_shows_a_traceback_or_the_login(
    verb, no_server, no_login, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@{no_server}")
    assert main(verb.split()) == 2
    output = "".join(capsys.readouterr())
    assert output.startswith(
        f"ServerUnavailable: the MLflow server http://{no_server} does not"
    )
    assert SECRET not in output
