"""A worker on a Ray cluster, which evaluates one trial at a time.

Every call returns the next message of a trial: the report of an epoch, or the result.
The next call passes the answer to a report. The driver thus follows a trial while it
runs, and can stop it, on any machine. A builder that requests values works likewise:
each message is a hyperparameter, and its answer is a value.
"""

import importlib
import os
import pickle
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias

from ktune.executors.declaring import Declared, Proposal, run_builder
from ktune.protocols import Work
from ktune.trial import Failure, Trial, TrialResult, TrialState

Message: TypeAlias = Any
"""An `EpochReport`, or the `TrialResult` at the end; of a builder a hyperparameter, or
`Declared` at the end."""


@dataclass(frozen=True)
class RaySetup:
    """Setup of a worker.

    Attributes:
        environment: Environment variables.
        sources: Local modules by name, as content.
    """

    environment: Mapping[str, str]
    sources: Mapping[str, bytes]


class RayWorker:
    """Keeps TensorFlow, the data and compiled programs from trial to trial."""

    def __init__(self) -> None:
        self._messages: SimpleQueue[Message] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._work: Work | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def set_up(self, setup: RaySetup, pickled: bytes, arrays: list[Any]) -> None:
        """Prepare for trials.

        Args:
            setup: Environment and local modules.
            pickled: The `Work`, see `serialization.pack`.
            arrays: Its arrays in the node's object store, which are not copied.
        """
        os.environ.update(setup.environment)
        self._folder = tempfile.TemporaryDirectory(prefix="ktune-")
        _write(setup.sources, Path(self._folder.name))
        sys.path.insert(0, self._folder.name)
        work: Work = pickle.loads(pickled, buffers=arrays)
        if work.declare is not None:
            # The time of a builder does not include the import of Keras.
            importlib.import_module("ktune.spaces.hyperparameters")
        self._work = work

    def start(self, trial: Trial) -> Message:
        """Start a trial; return its first message."""
        return self._first_message(self._run, trial)

    def declare(self) -> Message:
        """Start the builder; return its first message."""
        return self._first_message(self._declare)

    def proceed(self, answer: bool | Proposal) -> Message:
        """Answer the last message; return the next one."""
        self._answers.put(answer)
        return self._messages.get()

    def close(self) -> None:
        """Remove the temporary folder; the driver terminates the process itself."""
        if self._folder is not None:
            self._folder.cleanup()

    def _first_message(self, run: Callable[..., None], *args: Any) -> Message:
        threading.Thread(target=run, args=args, daemon=True).start()
        return self._messages.get()

    def _run(self, trial: Trial) -> None:
        assert self._work is not None
        try:
            self._messages.put(self._work.evaluate(trial, self._exchange))
        except BaseException as error:  # else the driver would wait forever
            failure = Failure(type(error).__name__, str(error), traceback.format_exc())
            self._messages.put(TrialResult(TrialState.FAILED, failure=failure))

    def _declare(self) -> None:
        assert self._work is not None
        assert self._work.declare is not None
        try:
            run_builder(self._work.declare, self._exchange)
        finally:
            self._messages.put(Declared())

    def _exchange(self, message: Message) -> Any:
        """Send a message to the driver; return the answer."""
        self._messages.put(message)
        return self._answers.get()


def _write(sources: Mapping[str, bytes], folder: Path) -> None:
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
