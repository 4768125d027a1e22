"""Set up the heavy libraries: quiet, deterministic, and only when they are needed."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "KERAS_BACKEND": "tensorflow",
}


def prepare_environment() -> None:
    """Choose quiet settings where the user has chosen nothing."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def import_keras() -> None:
    """Import Keras and its backend once, without the backend's chatter.

    TensorFlow writes to the process's stderr before any log level can be set, so
    that stream is diverted during the import, and shown only if the import fails.
    """
    if "keras_tuner" in sys.modules:
        return
    prepare_environment()
    with _diverted_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras_tuner  # noqa: F401  (brings keras and its backend)


def memory_bytes() -> float:
    """Return how much memory the machine has."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return float("inf")


@contextlib.contextmanager
def _diverted_stderr() -> Iterator[None]:
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(original, 2)
            sink.seek(0)
            os.write(2, sink.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
