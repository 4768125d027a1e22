"""Real MLflow tracking servers, to kill and restart.

Importing MLflow's server takes five seconds. One process does it once and forks a
server whenever one is wanted: a restart costs a fraction of a second.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from ktune.cli.server import LOCALHOST, free_port

_SECONDS = 120

# What `mlflow server --artifacts-destination …` tells its workers (3.17).
_ENVIRONMENT = {
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "_MLFLOW_SGI_NAME": "uvicorn",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class ServerHouse:
    """Starts MLflow servers on request; ends them all when it is left."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fork(self, request: dict[str, Any]) -> int:
        """Start a server; return its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def __enter__(self) -> "ServerHouse":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()  # the end of its input is the end of all


class TrackingServer:
    """One of the servers, with a proxied artifact store, on one port for good.

    Args:
        house: Starts it.
        folder: For its artifacts.
        backend: SQLAlchemy's URL of its database, whose tables may be missing.
    """

    def __init__(self, house: ServerHouse, folder: Path, backend: str) -> None:
        self._house = house
        self._port = free_port(LOCALHOST, 0)
        self._environment = {
            "_MLFLOW_SERVER_FILE_STORE": backend,
            "_MLFLOW_SERVER_REGISTRY_STORE": backend,
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "served"),
        }
        self._pid = 0

    @property
    def uri(self) -> str:
        """What MLFLOW_TRACKING_URI has to be."""
        return f"http://{LOCALHOST}:{self._port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        request = {"port": self._port, "environment": self._environment}
        self._pid = self._house.fork(request)
        self._wait_for(True)

    def kill(self) -> None:
        """Let it end as in a crash."""
        os.kill(self._pid, signal.SIGKILL)
        self._wait_for(False)

    def _wait_for(self, answers: bool) -> None:
        deadline = time.monotonic() + _SECONDS
        while self._answers() is not answers:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"{self.uri}/health", timeout=_SECONDS
            ) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


def _keep_house() -> None:
    """Fork a server for every line of input; end them all at its end."""
    import uvicorn
    from mlflow.server.fastapi_app import app

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries the dead
    children = []
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.environ.update(request["environment"])
            sys.stdin.close()
            uvicorn.run(app, host=LOCALHOST, port=request["port"], log_level="warning")
            os._exit(0)
        children.append(child)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    _keep_house()
