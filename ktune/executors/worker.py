"""A worker process, which evaluates trials until its driver is gone.

Workers that share the folds of a trial communicate directly with each other.

A worker is started with one end of a socket pair rather than by `multiprocessing`,
which would run the user's main script again.
"""

import contextlib
import os
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any

from ktune.executors.declaring import Declared, Proposal, run_builder
from ktune.executors.serialization import Serialization, deserialize
from ktune.protocols import Work
from ktune.trial import EpochReport, Trial
from ktune.utils.runtime import import_keras, set_determinism, set_threads


@dataclass(frozen=True)
class WorkerSetup:
    """Setup of a worker, its first message.

    Attributes:
        serialized: The `Work`.
        path: Import path.
        folder: Working folder.
        threads: Number of threads.
        is_deterministic: Whether operations are deterministic.
    """

    serialized: Serialization
    path: tuple[str, ...]
    folder: str
    threads: int
    is_deterministic: bool


@dataclass(frozen=True)
class Job:
    """A trial, or a part of its folds, followed by connections to the other workers.

    Attributes:
        trial: The trial.
        part: 0 for the leader, which evaluates the trial; else number of the follower.
        n_parts: Number of workers that share the trial.
    """

    trial: Trial
    part: int = 0
    n_parts: int = 1

    @property
    def n_connections(self) -> int:
        """Number of connections that follow."""
        return 1 if self.part else self.n_parts - 1


@dataclass(frozen=True)
class Declaration:
    """Message that asks a worker to run the builder; see `declaring`."""


@dataclass(frozen=True)
class WorkerReady:
    """Message of a worker that is ready for trials."""


def serve(connection: Connection) -> None:
    """Evaluate trials until the driver is gone."""
    setup: WorkerSetup = connection.recv()
    sys.path[:] = setup.path
    os.chdir(setup.folder)
    import_keras()
    set_threads(setup.threads)
    set_determinism(setup.is_deterministic)
    work: Work = deserialize(setup.serialized)
    connection.send(WorkerReady())
    while True:
        job: Job | Declaration = connection.recv()
        if isinstance(job, Declaration):
            _declare(work, connection)
            continue
        with contextlib.ExitStack() as stack:
            peers = [
                stack.enter_context(Connection(recv_handle(connection)))
                for _ in range(job.n_connections)
            ]
            _run(job, work, connection, peers)


def _declare(work: Work, driver: Connection) -> None:
    def request(hyperparameter: Any) -> Proposal:
        driver.send(hyperparameter)
        proposal: Proposal = driver.recv()
        return proposal

    assert work.declare is not None
    run_builder(work.declare, request)
    driver.send(Declared())


def _run(job: Job, work: Work, driver: Connection, peers: list[Connection]) -> None:
    if job.part:
        assert work.help is not None
        work.help(job.trial, job.part, job.n_parts, peers[0])
        return

    def report(epoch: EpochReport) -> bool:
        driver.send(epoch)
        return bool(driver.recv())

    workers = {"workers": peers} if peers else {}
    driver.send(work.evaluate(job.trial, report, **workers))


def main() -> None:
    """Serve the connection whose file descriptor is the only argument."""
    # These errors mean that the driver has closed the connection, or has died.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(Connection(int(sys.argv[1])))
