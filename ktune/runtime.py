"""Set up the heavy libraries: quiet, deterministic, and only when they are needed."""

import contextlib
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from ktune.errors import ExperimentError
from ktune.spelling import did_you_mean

BACKENDS = ("tensorflow", "jax", "torch")
"""Of Keras; each the name of its package, and of ktune's extra that installs it."""

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


def choose_backend(name: str) -> None:
    """Have Keras run on this backend; to be called before it is imported.

    Raises:
        ExperimentError: It is unknown or not installed, or Keras runs on another one.
    """
    if name not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise ExperimentError(
            f"`backend` must be one of {known}; got {name!r}."
            + did_you_mean(name, BACKENDS)
        )
    if importlib.util.find_spec(name) is None:
        raise ExperimentError(
            f"`backend` {name!r} needs the package {name}, which is not installed: "
            f'pip install "ktune[{name}]"'
        )
    keras = sys.modules.get("keras")
    running = keras.backend.backend() if keras is not None else name
    if running != name:
        raise ExperimentError(
            f"`backend` {name!r} comes too late: Keras runs on {running} in this "
            f"process. Set KERAS_BACKEND={name} before Keras is imported."
        )
    os.environ["KERAS_BACKEND"] = name


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
