"""Evaluate trials in parallel processes on this machine."""

import os
import sys
import tempfile
from collections.abc import Iterable
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from ktune.errors import ExperimentError
from ktune.executors.declaring import Declared, Proposer
from ktune.executors.failures import TIMEOUT_FACTOR
from ktune.executors.serialization import serialize
from ktune.executors.worker import WorkerReady, WorkerSetup
from ktune.executors.worker_process import WorkerProcess
from ktune.protocols import Report, Work
from ktune.trial import EpochReport, Trial, TrialResult


class _WorkerLost(Exception):
    """A worker died or hangs while it ran the builder."""


class ProcessesExecutor:
    """Workers that start once, keep their compiled programs, and share the data.

    Threads are divided among the workers. If there are fewer trials than workers,
    several workers share the folds of a trial. If a worker dies, only its trial fails,
    and the worker is replaced. The result of a trial does not depend on its workers,
    except that their number of threads changes the last bits of some operations, see
    `scripts/check_operations.py`.

    Args:
        work: Functions that evaluate a trial; sent to the workers once.
        n_workers: Number of processes.
        threads: Threads of each worker. None: those of the machine are divided.
        is_deterministic: Whether operations are deterministic.
        trial_timeout: Seconds a trial may take. A worker whose trial takes 1.5 times
            as long has not finished an epoch in time; it hangs, and is terminated.

    Raises:
        ExperimentError: The experiment cannot be serialized.
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
        self._declare_here = work.declare
        self._queue: list[Trial] = []
        self._folder = tempfile.TemporaryDirectory(prefix="ktune-")
        try:
            serialized = serialize(work, Path(self._folder.name))
        except ExperimentError:
            self._folder.cleanup()
            raise
        self._setup = WorkerSetup(
            serialized=serialized,
            path=tuple(sys.path),
            folder=os.getcwd(),
            threads=threads or max(1, (os.cpu_count() or 1) // n_workers),
            is_deterministic=is_deterministic,
        )
        self._n_started = 0
        self._workers = [self._start() for _ in range(n_workers)]

    def submit(self, trial: Trial) -> None:
        """Queue the trial; `wait` divides the workers among all queued trials."""
        self._queue.append(trial)

    def wait(self, report: Report) -> tuple[Trial, TrialResult]:
        """Return the next finished trial; meanwhile forward reports of all trials."""
        self._assign_trials()
        while True:
            busy = {w.connection: w for w in self._workers if w.trial is not None}
            for connection in wait_for(list(busy), self._poll_timeout(busy.values())):
                done = self._listen(busy[connection], report)  # type: ignore[index]
                if done is not None:
                    return done
            for worker in busy.values():
                if self._hangs(worker):
                    return self._replace_failed(worker, worker.timed_out())

    def declare(self, hp: Any) -> None:
        """Run the builder in an idle worker, with the values that ``hp`` proposes here.

        If the builder ends or hangs there, the declaration ends, and the evaluation of
        the trial will do the same and report it.
        """
        proposer = Proposer(hp)
        worker = self._idle_worker()
        worker.start_declaring()
        try:
            self._answer(worker, proposer)
        except _WorkerLost:
            self._replace(worker)
            if not worker.is_ready:  # not the builder's fault; no trial will start
                assert self._declare_here is not None
                self._declare_here(hp)
        proposer.raise_failure()

    def _idle_worker(self) -> WorkerProcess:
        idle = self._idle_workers()
        if idle:
            return max(idle, key=lambda worker: worker.is_ready)
        self._workers.append(self._start())
        return self._workers[-1]

    def _answer(self, worker: WorkerProcess, proposer: Proposer) -> None:
        """Answer the requests of a builder until it ends.

        Raises:
            _WorkerLost: The worker died, or the builder hangs.
        """
        while not isinstance(message := self._next_message(worker), Declared):
            worker.send(proposer.answer(message))

    def _next_message(self, worker: WorkerProcess) -> Any:
        while True:
            if not worker.connection.poll(self._poll_timeout([worker])):
                if self._is_overdue(worker):
                    raise _WorkerLost
                continue
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                raise _WorkerLost from None
            if not isinstance(message, WorkerReady):
                return message
            worker.mark_ready()

    def close(self) -> None:
        """End all workers; running trials are dropped."""
        for worker in self._workers:
            worker.close()
        self._workers = []
        self._folder.cleanup()

    def _assign_trials(self) -> None:
        """Divide the idle workers among the queued trials."""
        idle = self._idle_workers() if self._queue else []
        while self._queue and idle:
            size = min(self._most_parts, max(1, len(idle) // len(self._queue)))
            leader, *followers = [idle.pop(0) for _ in range(size)]
            leader.submit(self._queue.pop(0), followers)

    def _idle_workers(self) -> list[WorkerProcess]:
        busy = {peer for worker in self._workers for peer in worker.followers}
        idle = [w for w in self._workers if w.trial is None and w not in busy]
        # `wait` does not notice that a follower has died.
        return [w if w.is_alive() else self._replace(w) for w in idle]

    def _start(self) -> WorkerProcess:
        self._n_started += 1
        log = Path(self._folder.name, f"worker{self._n_started}.log")
        return WorkerProcess(self._setup, log)

    def _listen(
        self, worker: WorkerProcess, report: Report
    ) -> tuple[Trial, TrialResult] | None:
        """Receive one message; return the trial and its result if it was the last."""
        trial = worker.trial
        assert trial is not None
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._replace_failed(worker, worker.exit_report())
        if isinstance(message, EpochReport):
            worker.send(report(message))
        elif isinstance(message, WorkerReady):
            worker.mark_ready()
        else:
            worker.trial, worker.followers = None, []
            return trial, message
        return None

    def _replace_failed(
        self, worker: WorkerProcess, result: TrialResult
    ) -> tuple[Trial, TrialResult]:
        """Replace a dead or hanging worker and its followers."""
        trial = worker.trial
        assert trial is not None
        # The followers would notice, unless the leader hangs because of one of them.
        for peer in worker.followers:
            self._replace(peer)
        self._replace(worker)
        return trial, result

    def _replace(self, worker: WorkerProcess) -> WorkerProcess:
        worker.close()
        new = self._start()
        self._workers[self._workers.index(worker)] = new
        return new

    def _poll_timeout(self, busy: Iterable[WorkerProcess]) -> float | None:
        """Return the seconds until the first worker may time out."""
        if self._trial_timeout is None:
            return None
        limit = TIMEOUT_FACTOR * self._trial_timeout
        return max(0.0, min(limit - worker.seconds for worker in busy))

    def _hangs(self, worker: WorkerProcess) -> bool:
        return worker.trial is not None and self._is_overdue(worker)

    def _is_overdue(self, worker: WorkerProcess) -> bool:
        limit = self._trial_timeout
        return limit is not None and worker.seconds >= TIMEOUT_FACTOR * limit
