"""Evaluate trials side by side in processes of this machine."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from multiprocessing.connection import wait as wait_for
from pathlib import Path

from ktune.errors import ExperimentError
from ktune.executors.failures import GRACE
from ktune.executors.shipment import ship
from ktune.executors.worker import Ready, Setup
from ktune.executors.worker_process import WorkerProcess
from ktune.protocols import Report
from ktune.trial import EpochReport, Trial, TrialResult


class ProcessesExecutor:
    """Workers that start once, keep their compiled programs, and share the data.

    Threads are divided among them. A worker that dies costs its trial only, and is
    replaced. What a trial gives does not depend on which worker evaluates it.

    Args:
        evaluate: Evaluates a trial; sent to the workers once.
        n_workers: How many processes.
        is_deterministic: Whether operations keep their order.
        trial_timeout: Seconds a trial may take; a worker that has not ended its trial
            after 1.5 times that, and so has not even ended an epoch, hangs, and is
            ended.

    Raises:
        ExperimentError: The experiment cannot be sent to another process.
    """

    def __init__(
        self,
        evaluate: Callable[[Trial, Report], TrialResult],
        n_workers: int,
        *,
        is_deterministic: bool = True,
        trial_timeout: float | None = None,
    ) -> None:
        if os.name != "posix":
            raise ExperimentError(
                "`jobs` above 1 needs Linux or macOS (Windows: WSL 2). Use jobs=1."
            )
        self.n_workers = n_workers
        self._trial_timeout = trial_timeout
        self._folder = tempfile.TemporaryDirectory(prefix="ktune-")
        try:
            shipment = ship(evaluate, Path(self._folder.name))
        except ExperimentError:
            self._folder.cleanup()
            raise
        self._setup = Setup(
            shipment=shipment,
            path=tuple(sys.path),
            folder=os.getcwd(),
            threads=max(1, (os.cpu_count() or 1) // n_workers),
            is_deterministic=is_deterministic,
        )
        self._n_started = 0
        self._workers = [self._start() for _ in range(n_workers)]

    def submit(self, trial: Trial) -> None:
        """Give the trial to a worker that has none."""
        idle = next(worker for worker in self._workers if worker.trial is None)
        idle.submit(trial)

    def wait(self, report: Report) -> tuple[Trial, TrialResult]:
        """Return the next finished trial; meanwhile pass on what trials report."""
        while True:
            busy = {w.connection: w for w in self._workers if w.trial is not None}
            for connection in wait_for(list(busy), self._patience(busy.values())):
                done = self._listen(busy[connection], report)  # type: ignore[index]
                if done is not None:
                    return done
            for worker in busy.values():
                if self._hangs(worker):
                    return self._bury(worker, worker.timed_out())

    def close(self) -> None:
        """End all workers; running trials are dropped."""
        for worker in self._workers:
            worker.close()
        self._workers = []
        self._folder.cleanup()

    def _start(self) -> WorkerProcess:
        self._n_started += 1
        log = Path(self._folder.name, f"worker{self._n_started}.log")
        return WorkerProcess(self._setup, log)

    def _listen(
        self, worker: WorkerProcess, report: Report
    ) -> tuple[Trial, TrialResult] | None:
        """Take one message; return the trial and its result if it was the last."""
        trial = worker.trial
        assert trial is not None
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._bury(worker, worker.obituary())
        if isinstance(message, EpochReport):
            worker.send(report(message))
        elif isinstance(message, Ready):
            worker.note_ready()
        else:
            worker.trial = None
            return trial, message
        return None

    def _bury(
        self, worker: WorkerProcess, result: TrialResult
    ) -> tuple[Trial, TrialResult]:
        """Put a new worker in the place of one that is no longer of use."""
        trial = worker.trial
        assert trial is not None
        worker.close()
        self._workers[self._workers.index(worker)] = self._start()
        return trial, result

    def _patience(self, busy: Iterable[WorkerProcess]) -> float | None:
        """Return how many seconds to listen before somebody may hang."""
        if self._trial_timeout is None:
            return None
        limit = GRACE * self._trial_timeout
        return max(0.0, min(limit - worker.seconds for worker in busy))

    def _hangs(self, worker: WorkerProcess) -> bool:
        limit = self._trial_timeout
        is_busy = worker.trial is not None
        return limit is not None and is_busy and worker.seconds >= GRACE * limit
