"""The driver's handle of a worker process."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any

from ktune.executors.failures import timed_out, worker_died
from ktune.executors.worker import Declaration, Job, WorkerSetup
from ktune.trial import Trial, TrialResult

# Not by "-m": objects pickled there would belong to the module "__main__".
_START = "from ktune.executors.worker import main; main()"
_EXIT_TIMEOUT = 5.0
_TAIL = 2000


class WorkerProcess:
    """Starts a worker and communicates with it.

    Args:
        setup: Its first message.
        log: File for its output.
    """

    def __init__(self, setup: WorkerSetup, log: Path) -> None:
        self._log = log
        driver_end, worker_end = socket.socketpair()
        with driver_end, worker_end, log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(worker_end.fileno())],
                pass_fds=(worker_end.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(setup),
                # Only the driver handles Ctrl-C of the terminal.
                start_new_session=True,
            )
            self.connection = Connection(os.dup(driver_end.fileno()))
        self.trial: Trial | None = None
        """The trial it evaluates."""
        self.followers: list[WorkerProcess] = []
        """Workers that train some of the trial's folds."""
        self._submitted = 0.0
        self._is_ready = False
        self.send(setup)

    def send(self, message: Any) -> None:
        """Send a message; receiving reports a dead worker, so errors are ignored."""
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def submit(self, trial: Trial, followers: Sequence["WorkerProcess"] = ()) -> None:
        """Send a trial to the worker, and parts of its folds to followers."""
        self.trial, self.followers = trial, list(followers)
        self._submitted = time.monotonic()
        n_parts = 1 + len(followers)
        self.send(Job(trial, 0, n_parts))
        for part, peer in enumerate(followers, 1):
            peer.send(Job(trial, part, n_parts))
            for worker, end in zip((self, peer), socket.socketpair(), strict=True):
                worker._send_end(end)

    def start_declaring(self) -> None:
        """Have the worker run the builder; see `Declaration`."""
        self._submitted = time.monotonic()
        self.send(Declaration())

    def _send_end(self, end: socket.socket) -> None:
        with end, contextlib.suppress(OSError):
            send_handle(self.connection, end.fileno(), self._process.pid)

    def is_alive(self) -> bool:
        """Whether an idle worker is alive; reads its pending messages."""
        # The connection closes before the end of the process can be observed.
        try:
            while self.connection.poll():
                self.connection.recv()  # WorkerReady
                self.mark_ready()
        except (EOFError, OSError):
            return False
        return True

    @property
    def is_ready(self) -> bool:
        """Whether it has started."""
        return self._is_ready

    @property
    def seconds(self) -> float:
        """Wall time of its trial since the worker was ready."""
        return time.monotonic() - self._submitted if self._is_ready else 0.0

    def mark_ready(self) -> None:
        """Mark the worker as started; the time of its trial starts now."""
        self._is_ready = True
        self._submitted = time.monotonic()

    def timed_out(self) -> TrialResult:
        """Return the result of a trial that hangs."""
        return timed_out(self.seconds, self._log_tail())

    def exit_report(self) -> TrialResult:
        """Return the result of a trial whose worker died."""
        code = self._process.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        hint = " (the machine may have run out of memory)" if code == -9 else ""
        message = f"the worker process ended {how}{hint}"
        return worker_died(message, self._log_tail())

    def close(self) -> None:
        """Terminate the process."""
        self.connection.close()
        self._process.terminate()
        try:
            self._process.wait(_EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-_TAIL:]


def _environment(setup: WorkerSetup) -> dict[str, str]:
    """Return the environment of a worker: import path and number of threads."""
    path = os.pathsep.join(part for part in setup.path if part)
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": str(setup.threads),
    }
