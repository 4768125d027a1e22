"""A worker: a process that evaluates the trials it is sent, until nobody sends more.

Workers that share the folds of a trial speak with each other directly.

A worker is started with one end of a socket pair, and is no child of `multiprocessing`:
that would run the user's main script again.
"""

import contextlib
import os
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle

from ktune.executors.serialization import Serialization, unpack
from ktune.protocols import Work
from ktune.trial import EpochReport, Trial
from ktune.utils.runtime import import_keras, set_determinism, set_threads


@dataclass(frozen=True)
class WorkerSetup:
    """The first thing a worker is sent.

    Attributes:
        shipment: The `Work` to do.
        path: Where to import from.
        folder: Working folder.
        threads: How many this worker may use.
        is_deterministic: Whether operations keep their order.
    """

    shipment: Serialization
    path: tuple[str, ...]
    folder: str
    threads: int
    is_deterministic: bool


@dataclass(frozen=True)
class Job:
    """A trial, or a part of one. The ends of lines to the others follow.

    Attributes:
        trial: What to evaluate.
        part: 0 for who evaluates it, with the help of all others.
        n_parts: How many workers share it.
    """

    trial: Trial
    part: int = 0
    n_parts: int = 1

    @property
    def n_lines(self) -> int:
        """How many ends follow."""
        return 1 if self.part else self.n_parts - 1


@dataclass(frozen=True)
class Ready:
    """Sent by a worker that can take trials."""


def serve(connection: Connection) -> None:
    """Evaluate trials as they come; end when the driver is gone."""
    setup: WorkerSetup = connection.recv()
    sys.path[:] = setup.path
    os.chdir(setup.folder)
    import_keras()
    set_threads(setup.threads)
    set_determinism(setup.is_deterministic)
    work: Work = unpack(setup.shipment)
    connection.send(Ready())
    while True:
        job: Job = connection.recv()
        with contextlib.ExitStack() as stack:
            lines = [
                stack.enter_context(Connection(recv_handle(connection)))
                for _ in range(job.n_lines)
            ]
            _do(job, work, connection, lines)


def _do(job: Job, work: Work, driver: Connection, lines: list[Connection]) -> None:
    if job.part:
        assert work.help is not None
        work.help(job.trial, job.part, job.n_parts, lines[0])
        return

    def report(epoch: EpochReport) -> bool:
        driver.send(epoch)
        return bool(driver.recv())

    workers = {"workers": lines} if lines else {}
    driver.send(work.evaluate(job.trial, report, **workers))


def main() -> None:
    """Serve the connection whose file descriptor is the only argument."""
    # These mean: the driver has no more for us, or has died.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(Connection(int(sys.argv[1])))
