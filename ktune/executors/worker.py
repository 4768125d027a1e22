"""A worker: a process that evaluates the trials it is sent, until nobody sends more.

It is started with one end of a socket pair, and is no child of `multiprocessing`: that
would run the user's main script again.
"""

import contextlib
import os
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection

from ktune.executors.shipment import Shipment, unpack
from ktune.runtime import import_keras, set_determinism, set_threads
from ktune.trial import EpochReport, Trial, TrialResult


@dataclass(frozen=True)
class Setup:
    """The first thing a worker is sent.

    Attributes:
        shipment: The function that evaluates a trial.
        path: Where to import from.
        folder: Working folder.
        threads: How many this worker may use.
        is_deterministic: Whether operations keep their order.
    """

    shipment: Shipment
    path: tuple[str, ...]
    folder: str
    threads: int
    is_deterministic: bool


@dataclass(frozen=True)
class Ready:
    """Sent by a worker that can take trials."""


def serve(connection: Connection) -> None:
    """Evaluate trials as they come; end when the driver is gone."""
    setup: Setup = connection.recv()
    sys.path[:] = setup.path
    os.chdir(setup.folder)
    import_keras()
    set_threads(setup.threads)
    set_determinism(setup.is_deterministic)
    evaluate = unpack(setup.shipment)

    def report(epoch: EpochReport) -> bool:
        connection.send(epoch)
        return bool(connection.recv())

    connection.send(Ready())
    while True:
        trial: Trial = connection.recv()
        result: TrialResult = evaluate(trial, report)
        connection.send(result)


def main() -> None:
    """Serve the connection whose file descriptor is the only argument."""
    # These mean: the driver has no more for us, or has died.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(Connection(int(sys.argv[1])))
