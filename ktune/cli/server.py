"""Start MLflow's servers with few resources, and stop them cleanly."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ktune.cli.request_checks import Limits
from ktune.errors import KtuneError
from ktune.tracking.location import StoreLocation

LOCALHOST = "127.0.0.1"
_START_SECONDS = 180
_STOP_SECONDS = 10
_LAST_PORT = 2**16 - 1

# Job workers evaluate language models: 12 processes, 2.5 GB (3.17).
_LEAN = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class ServerError(KtuneError):
    """MLflow's server does not start."""


class Server:
    """One of MLflow's web servers, as a child process.

    Args:
        command: Command that starts it.
        environment: Variables in addition to those of this process.
        address: Its address, as ``http://HOST:PORT``.
        log: File for its output.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        address: str,
        log: Path,
    ) -> None:
        self.address = address
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **_LEAN, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A new process group, so that all its workers stop together.
                start_new_session=True,
            )

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_until_ready(self) -> None:
        """Wait until the server answers.

        Raises:
            ServerError: The server ended, or did not answer in time.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerError(f"MLflow's server ended at once:\n{self._log_tail()}")
            if self._answers():
                return
            time.sleep(0.1)
        raise ServerError(
            f"MLflow's server did not answer within {_START_SECONDS} s:\n"
            f"{self._log_tail()}"
        )

    def wait(self) -> int:
        """Wait until the server ends by itself; return its exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """Stop the server and all its workers; safe to call twice."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # already gone
            os.killpg(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=2) as reply:
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _log_tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])


def free_port(host: str, wanted: int) -> int:
    """Return the wanted port, or another free one if it is in use.

    Raises:
        ServerError: The port or interface does not exist.
    """
    if not 0 <= wanted <= _LAST_PORT:
        raise ServerError(f"--port must be from 0 to {_LAST_PORT}; got {wanted}")
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerError(f"no port can be opened on {host}")


def page_server(
    location: StoreLocation,
    *,
    host: str,
    port: int,
    log: Path,
    page_state: Sequence[Mapping[str, Any]] = (),
) -> Server:
    """Start MLflow's web page and API on a store; ``/ktune`` opens the searches.

    Args:
        location: The SQLite store to serve.
        host: Interface to listen on. Any but 127.0.0.1 allows other machines.
        port: Port to listen on.
        log: File for the output of the server.
        page_state: State of the page for `ktune.cli.ui_app`.
    """
    # One process of 240 MB that answers after 6 s; `mlflow server --workers 1` takes
    # two of 490 MB and 11 s, without options 14 of 3.1 GB and 21 s (3.17, 2 cores).
    options = ["--host", host, "--port", str(port), "--log-level", "warning"]
    command = [sys.executable, "-m", "uvicorn", *options, "ktune.cli.ui_app:app"]
    # The variables that `mlflow server` sets (mlflow/server/constants.py, 3.17).
    environment = {
        "_MLFLOW_SERVER_FILE_STORE": location.uri,
        "_MLFLOW_SERVER_REGISTRY_STORE": location.uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": location.artifact_root or "",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "KTUNE_UI": json.dumps(list(page_state)),
    }
    return Server(command, environment, address=f"http://{host}:{port}", log=log)


def scoring_server(
    folder: Path, *, host: str, port: int, log: Path, limits: Limits | None = None
) -> Server:
    """Start MLflow's scoring server on a model, in this Python environment.

    Args:
        folder: Folder of the model, as saved by MLflow.
        host: Interface to listen on. Any but 127.0.0.1 allows other machines.
        port: Port to listen on.
        log: File for the output of the server.
        limits: Limits of a request; None for the default ones.
    """
    options = ["--host", host, "--port", str(port), "--log-level", "warning"]
    app = ["--factory", "ktune.cli.scoring_app:make_app"]
    command = [sys.executable, "-m", "uvicorn", *options, *app]
    environment = {
        # As `mlflow models serve` does (mlflow/pyfunc/scoring_server, 3.17).
        "__pyfunc_model_path__": folder.resolve().as_uri(),
        "KTUNE_SERVE": (limits or Limits()).as_json(),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return Server(command, environment, address=f"http://{host}:{port}", log=log)
