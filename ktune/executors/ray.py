"""Evaluate trials on a Ray cluster: other machines, or this one."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ray

from ktune.errors import ExperimentError
from ktune.executors.failures import GRACE, timed_out, worker_died
from ktune.executors.ray_cluster import connected, count_places
from ktune.executors.ray_worker import Message, RaySetup, RayWorker
from ktune.executors.serialization import pack
from ktune.experiment.sources import local_sources, read_sources
from ktune.protocols import Report
from ktune.trial import EpochReport, Trial, TrialResult
from ktune.utils.runtime import environment_of_worker

RETRIES = 2
"""So often a trial is begun again whose worker is lost, before it is given up."""


@dataclass(eq=False)
class _Run:
    """A trial, and what has been answered to its reports."""

    trial: Trial
    answers: list[bool] = field(default_factory=list)
    n_lost: int = 0

    def answer(self, report: EpochReport, ask: Report) -> bool:
        """Return the answer to a report; ask once, even if the trial begins again."""
        if report.epoch == len(self.answers):
            self.answers.append(ask(report))
        return self.answers[report.epoch]


@dataclass(eq=False)
class _Worker:
    """A worker, what it is working on, and what it is going to say.

    Without a run, it is starting until it has said that it is ready.
    """

    actor: Any
    said: Any
    is_ready: bool = False
    run: _Run | None = None
    begun: float = 0.0

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self.run is None

    @property
    def seconds(self) -> float:
        """Wall time since it was given its trial."""
        return time.monotonic() - self.begun if self.run else 0.0

    def begin(self, run: _Run) -> None:
        self.run, self.begun = run, time.monotonic()
        self.said = self.actor.begin.remote(run.trial)


class RayExecutor:
    """Workers that start once, keep their compiled programs, and share a node's data.

    Data are sent to every machine once, into Ray's object store. A trial whose worker
    is lost, with its machine or alone, is begun again elsewhere; one that loses its
    worker again and again fails. What a trial gives does not depend on where it runs.

    Args:
        evaluate: Evaluates a trial; sent to the workers once.
        n_workers: How many trials at the same time. None: as many as there is room for.
        address: Of the cluster, see `ray_cluster.connected`.
        cpus: Of every worker; may be a fraction. It computes in so many threads.
        gpus: Of every worker; may be a fraction.
        trial_timeout: See `ktune.executors.processes`.

    Raises:
        ExperimentError: There is no Ray, no cluster at the address or no room in it, or
            the experiment cannot be sent to another process.
    """

    def __init__(
        self,
        evaluate: Callable[[Trial, Report], TrialResult],
        n_workers: int | None = None,
        *,
        address: str | None = None,
        cpus: float = 1,
        gpus: float = 0,
        trial_timeout: float | None = None,
    ) -> None:
        pickled, buffers = pack(evaluate)
        self._connection = ExitStack()
        self._connection.enter_context(connected(address, cpus=cpus, gpus=gpus))
        self.n_workers = n_workers or count_places(cpus, gpus)
        self._trial_timeout = trial_timeout
        self._actors: Any = ray.remote(num_cpus=cpus, num_gpus=gpus)(RayWorker)
        setup = RaySetup(
            environment_of_worker(max(1, int(cpus)), gpus),
            read_sources(local_sources()),
        )
        arrays = [np.frombuffer(buffer, np.uint8) for buffer in buffers]
        self._cargo = [ray.put(part) for part in (setup, pickled, arrays)]
        self._waiting: deque[_Run] = deque()
        self._n_false_starts = 0
        self._workers = [self._start() for _ in range(self.n_workers)]

    def submit(self, trial: Trial) -> None:
        """Keep the trial until a worker is ready for it."""
        self._waiting.append(_Run(trial))

    def wait(self, report: Report) -> tuple[Trial, TrialResult]:
        """Return the next finished trial; meanwhile pass on what trials report.

        Raises:
            ExperimentError: Workers cannot start.
        """
        while True:
            self._hand_out()
            speakers = {w.said: w for w in self._workers if not w.is_idle}
            said, _ = ray.wait(list(speakers), timeout=self._patience())
            for reference in said:
                done = self._listen(speakers[reference], report)
                if done is not None:
                    return done
            for worker in self._workers:
                if self._hangs(worker):
                    return self._give_up(worker, timed_out(worker.seconds))

    def close(self) -> None:
        """End all workers; running trials are dropped."""
        leaving = [w.actor.close.remote() for w in self._workers if w.is_idle]
        if leaving:
            ray.wait(leaving, num_returns=len(leaving), timeout=1)
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers, self._cargo = [], []
        self._connection.close()

    def _start(self) -> _Worker:
        actor = self._actors.remote()
        return _Worker(actor, actor.set_up.remote(*self._cargo))

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.is_idle and self._waiting:
                worker.begin(self._waiting.popleft())

    def _listen(
        self, worker: _Worker, report: Report
    ) -> tuple[Trial, TrialResult] | None:
        """Take what a worker says; return trial and result if it was the last word."""
        try:
            message: Message | None = ray.get(worker.said)
        except ray.exceptions.RayTaskError as error:
            raise _cannot_start(str(error)) from error
        except ray.exceptions.RayError as error:
            return self._lose(worker, _shortly(error))
        run = worker.run
        if run is None:
            worker.is_ready, self._n_false_starts = True, 0
        elif isinstance(message, EpochReport):
            worker.said = worker.actor.go_on.remote(run.answer(message, report))
        else:
            assert message is not None
            worker.run = None
            return run.trial, message
        return None

    def _lose(self, worker: _Worker, why: str) -> tuple[Trial, TrialResult] | None:
        """Replace a worker that is gone; its trial begins again, or fails at last."""
        run = worker.run
        if run is None:
            self._n_false_starts += 1
            if self._n_false_starts > RETRIES * self.n_workers:
                raise _cannot_start(why)
        elif run.n_lost == RETRIES:
            told = f"it lost its worker {RETRIES + 1} times; the last one: {why}"
            return self._give_up(worker, worker_died(told))
        else:
            run.n_lost += 1
            self._waiting.appendleft(run)
        self._replace(worker)
        return None

    def _give_up(
        self, worker: _Worker, result: TrialResult
    ) -> tuple[Trial, TrialResult]:
        assert worker.run is not None
        self._replace(worker)
        return worker.run.trial, result

    def _replace(self, worker: _Worker) -> None:
        ray.kill(worker.actor)
        self._workers[self._workers.index(worker)] = self._start()

    def _patience(self) -> float | None:
        """Return how many seconds to listen before somebody may hang."""
        if self._trial_timeout is None:
            return None
        limit = GRACE * self._trial_timeout
        return max(0.0, min(limit - worker.seconds for worker in self._workers))

    def _hangs(self, worker: _Worker) -> bool:
        limit = self._trial_timeout
        return limit is not None and worker.seconds >= GRACE * limit


def _shortly(error: Exception) -> str:
    """Return what happened to a worker, without Ray's names for it and its advice."""
    return str(error).splitlines()[-1].partition(" Some common causes")[0]


def _cannot_start(why: str) -> ExperimentError:
    return ExperimentError(
        f"a worker on the Ray cluster cannot start: {why.strip()}\nInstall the same "
        "version of ktune, and what the experiment imports, on every machine."
    )
