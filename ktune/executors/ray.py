"""Evaluate trials on a Ray cluster of other machines, or on this one."""

import time
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ray

from ktune.errors import ClusterLost, ExperimentError
from ktune.executors.declaring import Declared, Proposer
from ktune.executors.failures import TIMEOUT_FACTOR, timed_out, worker_died
from ktune.executors.ray_cluster import (
    CHECK_SECONDS,
    ClusterWatch,
    connected,
    count_workers,
)
from ktune.executors.ray_worker import Message, RaySetup, RayWorker
from ktune.executors.serialization import pack
from ktune.experiment.sources import local_sources, read_sources
from ktune.protocols import Report, Work
from ktune.trial import EpochReport, Trial, TrialResult
from ktune.utils.runtime import environment_of_worker

MAX_RETRIES = 2
"""Number of restarts of a trial that loses its worker."""

MAX_DECLARATIONS = 2
"""Number of times a builder runs for its values if it loses its worker."""


class _WorkerLost(Exception):
    """A worker died, alone or with its machine."""


class _BuilderHangs(Exception):
    """A builder does not request values or end in time."""


@dataclass(eq=False)
class _Run:
    """A trial, and the answers to its reports."""

    trial: Trial
    answers: list[bool] = field(default_factory=list)
    n_lost: int = 0

    def answer(self, report: EpochReport, ask: Report) -> bool:
        """Return the answer to a report; ask once even if the trial restarts."""
        if report.epoch == len(self.answers):
            self.answers.append(ask(report))
        return self.answers[report.epoch]


@dataclass(eq=False)
class _Worker:
    """A worker, its run and a reference to its next reply.

    A worker without a run is starting until its first reply.
    """

    actor: Any
    reply: Any
    is_ready: bool = False
    run: _Run | None = None
    started: float | None = None

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self.run is None

    @property
    def seconds(self) -> float:
        """Wall time since the start of its trial or builder."""
        return 0.0 if self.started is None else time.monotonic() - self.started

    def start(self, run: _Run) -> None:
        self.run, self.started = run, time.monotonic()
        self.reply = self.actor.start.remote(run.trial)

    def start_declaring(self) -> None:
        self.started = time.monotonic()
        self.reply = self.actor.declare.remote()

    def end(self) -> None:
        self.run, self.started = None, None


class RayExecutor:
    """Workers that start once, keep their compiled programs, and share a node's data.

    Data are sent to every machine once, into Ray's object store. If a worker is lost,
    alone or with its machine, its trial is restarted elsewhere; a trial that loses its
    worker repeatedly fails. The result of a trial does not depend on its machine.

    Args:
        work: Functions that evaluate a trial; sent to the workers once.
        n_workers: Number of parallel trials. None: as many as the cluster can hold.
        address: Address of the cluster, see `ray_cluster.connected`.
        cpus: CPUs (and threads) per worker; may be a fraction.
        gpus: GPUs per worker; may be a fraction.
        trial_timeout: See `ktune.executors.processes`.

    Raises:
        ExperimentError: Ray is not installed, there is no cluster at the address or no
            room in it, or the experiment cannot be serialized.
    """

    def __init__(
        self,
        work: Work,
        n_workers: int | None = None,
        *,
        address: str | None = None,
        cpus: float = 1,
        gpus: float = 0,
        trial_timeout: float | None = None,
    ) -> None:
        pickled, buffers = pack(work)
        self._connection = ExitStack()
        self._connection.enter_context(connected(address, cpus=cpus, gpus=gpus))
        self.n_workers = n_workers or count_workers(cpus, gpus)
        self._trial_timeout = trial_timeout
        self._watch = ClusterWatch()
        self._is_lost = False
        self._actors: Any = ray.remote(num_cpus=cpus, num_gpus=gpus)(RayWorker)
        setup = RaySetup(
            environment_of_worker(max(1, int(cpus)), gpus),
            read_sources(local_sources()),
        )
        arrays = [np.frombuffer(buffer, np.uint8) for buffer in buffers]
        self._shared_objects = [ray.put(part) for part in (setup, pickled, arrays)]
        self._queue: deque[_Run] = deque()
        self._n_failed_starts = 0
        self._workers = [self._start() for _ in range(self.n_workers)]

    def submit(self, trial: Trial) -> None:
        """Queue the trial until a worker is ready."""
        self._queue.append(_Run(trial))

    def wait(self, report: Report) -> tuple[Trial, TrialResult]:
        """Return the next finished trial; meanwhile forward reports of all trials.

        Raises:
            ExperimentError: Workers cannot start.
            ClusterLost: A process of Ray that the driver needs has died.
        """
        while True:
            self._check_cluster()
            self._assign_trials()
            by_reply = {w.reply: w for w in self._workers if not w.is_idle}
            timeout = self._poll_timeout(self._workers)
            reply, _ = ray.wait(list(by_reply), timeout=timeout)
            for reference in reply:
                done = self._listen(by_reply[reference], report)
                if done is not None:
                    return done
            for worker in self._workers:
                if self._hangs(worker):
                    return self._fail_trial(worker, timed_out(worker.seconds))

    def declare(self, hp: Any) -> None:
        """Run the builder in an idle worker, with the values that ``hp`` proposes here.

        If its worker is lost, alone or with its machine, the builder runs once more.
        If it is lost again or the builder hangs, the declaration ends, and the
        evaluation of the trial will do the same and report it.

        Raises:
            ExperimentError: Workers cannot start.
            ClusterLost: A process of Ray that the driver needs has died.
        """
        proposer = Proposer(hp)
        for _ in range(MAX_DECLARATIONS):
            worker = self._idle_worker()
            try:
                self._answer(worker, proposer)
                break
            except _BuilderHangs:
                self._replace(worker)
                break
            except _WorkerLost:
                self._replace(worker)
                proposer.restart()
        proposer.raise_failure()

    def close(self) -> None:
        """End all workers; running trials are dropped."""
        if self._is_lost:
            return  # every call of Ray would end this process
        leaving = [w.actor.close.remote() for w in self._workers if w.is_idle]
        if leaving:
            ray.wait(leaving, num_returns=len(leaving), timeout=1)
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers, self._shared_objects = [], []
        self._connection.close()

    def _check_cluster(self) -> None:
        try:
            self._watch.check()
        except ClusterLost:
            self._is_lost = True
            raise

    def _start(self) -> _Worker:
        actor = self._actors.remote()
        return _Worker(actor, actor.set_up.remote(*self._shared_objects))

    def _assign_trials(self) -> None:
        for worker in self._workers:
            if worker.is_idle and self._queue:
                worker.start(self._queue.popleft())

    def _idle_worker(self) -> _Worker:
        """Return an idle worker; wait for one that starts."""
        while not (idle := [w for w in self._workers if w.is_idle]):
            self._check_cluster()
            starting = {w.reply: w for w in self._workers if not w.is_ready}
            replies, _ = ray.wait(list(starting), timeout=CHECK_SECONDS)
            for reference in replies:
                self._finish_start(starting[reference])
        return idle[0]

    def _finish_start(self, worker: _Worker) -> None:
        """Receive the first reply of a worker; replace a worker that is lost.

        Raises:
            ExperimentError: Workers cannot start.
        """
        try:
            self._receive(worker)
        except _WorkerLost as error:
            self._n_failed_starts += 1
            if self._n_failed_starts > MAX_RETRIES * self.n_workers:
                raise _cannot_start(str(error)) from error
            self._replace(worker)
        else:
            worker.is_ready, self._n_failed_starts = True, 0

    def _answer(self, worker: _Worker, proposer: Proposer) -> None:
        """Answer the requests of a builder until it ends.

        Raises:
            _WorkerLost: The worker was lost.
            _BuilderHangs: The builder hangs.
        """
        worker.start_declaring()
        while not isinstance(message := self._next_message(worker), Declared):
            worker.reply = worker.actor.proceed.remote(proposer.answer(message))
        worker.end()

    def _next_message(self, worker: _Worker) -> Message:
        while not ray.wait([worker.reply], timeout=self._poll_timeout([worker]))[0]:
            self._check_cluster()
            if self._hangs(worker):
                raise _BuilderHangs
        return self._receive(worker)

    def _receive(self, worker: _Worker) -> Message:
        """Return the reply of a worker.

        Raises:
            ExperimentError: It cannot start.
            _WorkerLost: It was lost.
        """
        try:
            return ray.get(worker.reply)
        except ray.exceptions.RayTaskError as error:
            raise _cannot_start(str(error)) from error
        except ray.exceptions.RayError as error:
            raise _WorkerLost(_short_message(error)) from error

    def _listen(
        self, worker: _Worker, report: Report
    ) -> tuple[Trial, TrialResult] | None:
        """Receive a reply; return the trial and its result if it was the last."""
        run = worker.run
        if run is None:
            self._finish_start(worker)
            return None
        try:
            message = self._receive(worker)
        except _WorkerLost as error:
            return self._handle_lost_worker(worker, run, str(error))
        if isinstance(message, EpochReport):
            worker.reply = worker.actor.proceed.remote(run.answer(message, report))
            return None
        worker.end()
        return run.trial, message

    def _handle_lost_worker(
        self, worker: _Worker, run: _Run, reason: str
    ) -> tuple[Trial, TrialResult] | None:
        """Replace a lost worker; restart its trial, or let it fail after retries."""
        if run.n_lost == MAX_RETRIES:
            message = f"it lost its worker {MAX_RETRIES + 1} times; last: {reason}"
            return self._fail_trial(worker, worker_died(message))
        run.n_lost += 1
        self._queue.appendleft(run)
        self._replace(worker)
        return None

    def _fail_trial(
        self, worker: _Worker, result: TrialResult
    ) -> tuple[Trial, TrialResult]:
        assert worker.run is not None
        self._replace(worker)
        return worker.run.trial, result

    def _replace(self, worker: _Worker) -> None:
        ray.kill(worker.actor)
        self._workers[self._workers.index(worker)] = self._start()

    def _poll_timeout(self, workers: Iterable[_Worker]) -> float:
        """Return the seconds until the next check, or the first timeout of a worker."""
        if self._trial_timeout is None:
            return CHECK_SECONDS
        limit = TIMEOUT_FACTOR * self._trial_timeout
        first = min(limit - worker.seconds for worker in workers)
        return min(CHECK_SECONDS, max(0.0, first))

    def _hangs(self, worker: _Worker) -> bool:
        limit = self._trial_timeout
        return limit is not None and worker.seconds >= TIMEOUT_FACTOR * limit


def _short_message(error: Exception) -> str:
    """Return the cause of a worker's death without Ray's identifiers and advice."""
    return str(error).splitlines()[-1].partition(" Some common causes")[0]


def _cannot_start(reason: str) -> ExperimentError:
    return ExperimentError(
        f"a worker on the Ray cluster cannot start: {reason.strip()}\nInstall the same "
        "version of ktune, and what the experiment imports, on every machine."
    )
