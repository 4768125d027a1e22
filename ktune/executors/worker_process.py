"""The driver's end of a worker."""

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
from ktune.executors.worker import Job, WorkerSetup
from ktune.trial import Trial, TrialResult

# Not by "-m": what is pickled there would name the module "__main__".
_START = "from ktune.executors.worker import main; main()"
_EXIT_TIMEOUT = 5.0
_TAIL = 2000


class WorkerProcess:
    """Starts a worker and speaks with it.

    Args:
        setup: What it is sent first.
        log: File that takes what it prints.
    """

    def __init__(self, setup: WorkerSetup, log: Path) -> None:
        self._log = log
        ours, theirs = socket.socketpair()
        with ours, theirs, log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(setup),
                # Ctrl-C in the terminal is for the driver alone.
                start_new_session=True,
            )
            self.connection = Connection(os.dup(ours.fileno()))
        self.trial: Trial | None = None
        """What it is evaluating."""
        self.workers: list[WorkerProcess] = []
        """Those who train some of its folds."""
        self._submitted = 0.0
        self._is_ready = False
        self.send(setup)

    def send(self, message: Any) -> None:
        """Send something; if the worker is dead, its silence will tell."""
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def submit(self, trial: Trial, workers: Sequence["WorkerProcess"] = ()) -> None:
        """Have a trial evaluated, its folds shared with helpers."""
        self.trial, self.workers = trial, list(workers)
        self._submitted = time.monotonic()
        n_parts = 1 + len(workers)
        self.send(Job(trial, 0, n_parts))
        for part, peer in enumerate(workers, 1):
            peer.send(Job(trial, part, n_parts))
            for worker, end in zip((self, peer), socket.socketpair(), strict=True):
                worker._send_end(end)

    def _send_end(self, end: socket.socket) -> None:
        with end, contextlib.suppress(OSError):
            send_handle(self.connection, end.fileno(), self._process.pid)

    def is_there(self) -> bool:
        """Whether one that has no trial can be given one; hear what it has said."""
        # The line is closed before the process is seen to have ended.
        try:
            while self.connection.poll():
                self.connection.recv()  # that it is ready
                self.note_ready()
        except (EOFError, OSError):
            return False
        return True

    @property
    def seconds(self) -> float:
        """Wall time since it could begin with its trial."""
        return time.monotonic() - self._submitted if self._is_ready else 0.0

    def note_ready(self) -> None:
        """Take note that it has started; only now its trial's time runs."""
        self._is_ready = True
        self._submitted = time.monotonic()

    def timed_out(self) -> TrialResult:
        """Return the result of a trial that goes on without end."""
        return timed_out(self.seconds, self._log_tail())

    def exit_report(self) -> TrialResult:
        """Return the result of the trial that a dead worker was working on."""
        code = self._process.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        hint = " (the machine may have run out of memory)" if code == -9 else ""
        message = f"the worker process ended {how}{hint}"
        return worker_died(message, self._log_tail())

    def close(self) -> None:
        """End the process, whatever it is doing."""
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
    """Return this process's environment, with our modules and few threads."""
    path = os.pathsep.join(part for part in setup.path if part)
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": str(setup.threads),
    }
