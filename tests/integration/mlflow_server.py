"""A real MLflow tracking server with a proxied artifact store, to kill and restart."""

import signal
import sys
from pathlib import Path
from types import TracebackType

from ktune.server import LOCALHOST, Server, free_port


class TrackingServer:
    """MLflow's server in one process, on one port for good.

    What ``mlflow server --backend-store-uri … --artifacts-destination …`` starts,
    without its parent process and its four workers (3.17).

    Args:
        folder: For its artifacts and its log.
        backend: SQLAlchemy's URL of its database, whose tables may be missing.
    """

    def __init__(self, folder: Path, backend: str) -> None:
        self._folder = folder
        self._port = free_port(LOCALHOST, 0)
        self._environment = {
            "_MLFLOW_SERVER_FILE_STORE": backend,
            "_MLFLOW_SERVER_REGISTRY_STORE": backend,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "served"),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SGI_NAME": "uvicorn",
        }
        self._process: Server | None = None

    @property
    def uri(self) -> str:
        """What MLFLOW_TRACKING_URI has to be."""
        return f"http://{LOCALHOST}:{self._port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.launch()
        assert self._process is not None
        self._process.wait_until_ready()

    def launch(self) -> None:
        """Start it, and return at once."""
        options = ["--host", LOCALHOST, "--port", str(self._port)]
        self._process = Server(
            [
                sys.executable,
                "-m",
                "uvicorn",
                *options,
                "mlflow.server.fastapi_app:app",
            ],
            self._environment,
            address=self.uri,
            log=self._folder / "server.log",
        )

    def kill(self) -> None:
        """Let it end as in a crash."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
            self._process.wait()

    def freeze(self) -> None:
        """Let it stop answering, though connections are taken."""
        assert self._process is not None
        self._process.signal(signal.SIGSTOP)

    def __enter__(self) -> "TrackingServer":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
