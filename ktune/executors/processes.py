"""Evaluate trials side by side in processes of this machine."""

import os
import sys
import tempfile
from collections.abc import Iterable
from multiprocessing.connection import wait as wait_for
from pathlib import Path

from ktune.errors import ExperimentError
from ktune.executors.failures import GRACE
from ktune.executors.serialization import ship
from ktune.executors.worker import Ready, WorkerSetup
from ktune.executors.worker_process import WorkerProcess
from ktune.protocols import Report, Work
from ktune.trial import EpochReport, Trial, TrialResult


class ProcessesExecutor:
    """Workers that start once, keep their compiled programs, and share the data.

    Threads are divided among them. Where there are fewer trials than workers, these
    share the folds of a trial. A worker that dies costs its trial only, and is
    replaced. What a trial gives does not depend on which workers evaluate it.

    Args:
        work: Evaluates a trial; sent to the workers once.
        n_workers: How many processes.
        threads: Of each. None: the machine's are divided among them.
        is_deterministic: Whether operations keep their order.
        trial_timeout: Seconds a trial may take; a worker that has not ended its trial
            after 1.5 times that, and so has not even ended an epoch, hangs, and is
            ended.

    Raises:
        ExperimentError: The experiment cannot be sent to another process.
    """

    def __init__(
        self,
        work: Work,
        n_workers: int,
        *,
        threads: int | None = None,
        is_deterministic: bool = True,
        trial_timeout: float | None = None,
    ) -> None:
        if os.name != "posix":
            raise ExperimentError(
                "`jobs` above 1 needs Linux or macOS (Windows: WSL 2). Use jobs=1."
            )
        self.n_workers = n_workers
        self._trial_timeout = trial_timeout
        self._most_parts = work.most_parts
        self._waiting: list[Trial] = []
        self._folder = tempfile.TemporaryDirectory(prefix="ktune-")
        try:
            shipment = ship(work, Path(self._folder.name))
        except ExperimentError:
            self._folder.cleanup()
            raise
        self._setup = WorkerSetup(
            shipment=shipment,
            path=tuple(sys.path),
            folder=os.getcwd(),
            threads=threads or max(1, (os.cpu_count() or 1) // n_workers),
            is_deterministic=is_deterministic,
        )
        self._n_started = 0
        self._workers = [self._start() for _ in range(n_workers)]

    def submit(self, trial: Trial) -> None:
        """Keep the trial until it is known how many there are to share the workers."""
        self._waiting.append(trial)

    def wait(self, report: Report) -> tuple[Trial, TrialResult]:
        """Return the next finished trial; meanwhile pass on what trials report."""
        self._hand_out()
        while True:
            busy = {w.connection: w for w in self._workers if w.trial is not None}
            for connection in wait_for(list(busy), self._patience(busy.values())):
                done = self._listen(busy[connection], report)  # type: ignore[index]
                if done is not None:
                    return done
            for worker in busy.values():
                if self._hangs(worker):
                    return self._replace_failed(worker, worker.timed_out())

    def close(self) -> None:
        """End all workers; running trials are dropped."""
        for worker in self._workers:
            worker.close()
        self._workers = []
        self._folder.cleanup()

    def _hand_out(self) -> None:
        """Divide the workers that have nothing to do among the trials that wait."""
        helping = {peer for worker in self._workers for peer in worker.workers}
        idle = [w for w in self._workers if w.trial is None and w not in helping]
        # A helper may have died, which nobody listens for.
        idle = [w if w.is_there() else self._replace(w) for w in idle]
        while self._waiting:
            size = min(self._most_parts, len(idle) // len(self._waiting))
            leader, *workers = [idle.pop(0) for _ in range(size)]
            leader.submit(self._waiting.pop(0), workers)

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
            return self._replace_failed(worker, worker.exit_report())
        if isinstance(message, EpochReport):
            worker.send(report(message))
        elif isinstance(message, Ready):
            worker.note_ready()
        else:
            worker.trial, worker.workers = None, []
            return trial, message
        return None

    def _replace_failed(
        self, worker: WorkerProcess, result: TrialResult
    ) -> tuple[Trial, TrialResult]:
        """Put a new worker in the place of one that is no longer of use."""
        trial = worker.trial
        assert trial is not None
        # Its helpers notice, unless one of them is why it hangs.
        for peer in worker.workers:
            self._replace(peer)
        self._replace(worker)
        return trial, result

    def _replace(self, worker: WorkerProcess) -> WorkerProcess:
        worker.close()
        new = self._start()
        self._workers[self._workers.index(worker)] = new
        return new

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
