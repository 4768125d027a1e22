"""Run code of the user without lasting effects on this process.

A ``build`` may change the working folder, close the standard output, install signal
handlers, or set a global policy of Keras or NumPy. Such a change would reach ktune and
the trials that follow, so it ends with the call.
"""

import contextlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np

_STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__")


@contextlib.contextmanager
def contained(*, restores_random_state: bool = False) -> Iterator[None]:
    """Undo changes of the process that the block makes, also after an error.

    Restored are the working folder, signal handlers, standard output and error, and
    the global settings of Keras and NumPy.

    Args:
        restores_random_state: Whether to restore the random states of Python and NumPy
            too. Not while a model is built for training, as its weights and the
            batches that follow come from one seed.
    """
    parts: list[Callable[[], AbstractContextManager[None]]] = [
        _working_folder,
        _signal_handlers,
        _standard_output,
        _numpy_errors,
        _keras_settings,
    ]
    if restores_random_state:
        parts.append(_random_states)
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part())
        yield


@contextlib.contextmanager
def _working_folder() -> Iterator[None]:
    try:
        before = os.getcwd()
    except OSError:  # it was removed
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.chdir(before)


@contextlib.contextmanager
def _signal_handlers() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set handlers
        return
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: native code has installed the handler.
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


class _Unclosable:
    """A stream that stays open when it is closed; a closed one cannot be reopened."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def close(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)


@contextlib.contextmanager
def _standard_output() -> Iterator[None]:
    before = {name: getattr(sys, name) for name in _STREAMS}
    copies = {descriptor: _copy(descriptor) for descriptor in (1, 2)}
    for name, stream in before.items():
        if stream is not None:
            setattr(sys, name, _Unclosable(stream))
    try:
        yield
    finally:
        for name, stream in before.items():
            setattr(sys, name, stream)
        for descriptor, copy in copies.items():
            if copy is not None:
                os.dup2(copy, descriptor)
                os.close(copy)


def _copy(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # closed, as in a daemon
        return None


@contextlib.contextmanager
def _numpy_errors() -> Iterator[None]:
    with np.errstate():
        yield


@contextlib.contextmanager
def _keras_settings() -> Iterator[None]:
    if "keras" not in sys.modules:
        yield
        return
    from keras import config

    # `config.dtype_policy()` would fix a policy that is not set yet.
    from keras.src.backend.common import global_state

    policy = global_state.get_global_attribute("dtype_policy")
    settings: list[tuple[Callable[[Any], None], Any]] = [
        (config.set_floatx, config.floatx()),
        (config.set_epsilon, config.epsilon()),
        (config.set_image_data_format, config.image_data_format()),
    ]
    try:
        yield
    finally:
        for restore, value in settings:
            restore(value)
        global_state.set_global_attribute("dtype_policy", policy)


@contextlib.contextmanager
def _random_states() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
