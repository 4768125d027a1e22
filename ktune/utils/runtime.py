"""Set up Keras and its backend: quiet, deterministic, and imported on demand."""

import contextlib
import importlib.util
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ktune.errors import ExperimentError
from ktune.utils.text import did_you_mean

BACKENDS = ("tensorflow", "jax", "torch")
"""Keras backends; each is also the name of a package and of an extra of ktune."""

_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow 3.17 sends two more requests for every run to print its address.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # By default MLflow retries an unreachable server seven times, for two minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "KERAS_BACKEND": "tensorflow",
}


def prepare_environment() -> None:
    """Set quiet defaults for environment variables that the user has not set."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def environment_of_worker(threads: int, gpus: float) -> dict[str, str]:
    """Return the environment variables of a worker process on any machine.

    Args:
        threads: Number of threads of the worker.
        gpus: Number of GPUs of the worker, or its share of one. By default TensorFlow
            takes every visible GPU and all its memory.
    """
    prepare_environment()
    count = str(threads)
    variables = {name: os.environ[name] for name in _QUIET}
    variables |= dict.fromkeys(
        ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), count
    )
    if gpus == 0:
        variables["CUDA_VISIBLE_DEVICES"] = "-1"
    elif gpus < 1:
        variables["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    return variables


def choose_backend(name: str) -> None:
    """Select the backend of Keras; to be called before Keras is imported.

    Raises:
        ExperimentError: The backend is unknown or not installed, or Keras already
            runs on another one.
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


_DEFAULT_IMPORT_SECONDS = 5.0
_import_seconds: list[float] = []


def import_seconds() -> float:
    """Return the time that `import_keras` took here; a guess if it did not import."""
    return _import_seconds[0] if _import_seconds else _DEFAULT_IMPORT_SECONDS


def import_keras() -> None:
    """Import Keras and its backend once, without the messages of the backend.

    TensorFlow writes to stderr before a log level can be set, so stderr is diverted
    during the import, and shown only if the import fails.
    """
    if "keras_tuner" in sys.modules:
        return
    is_first, started = "keras" not in sys.modules, time.perf_counter()
    prepare_environment()
    with diverted_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras_tuner  # noqa: F401  (brings keras and its backend)
    if is_first:
        _import_seconds.append(time.perf_counter() - started)


def memory_bytes() -> float:
    """Return the memory of the machine in bytes."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return float("inf")


def available_bytes() -> float:
    """Return the bytes available to this process; all memory if that is unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path("/proc/meminfo").read_text()
        kibibytes = text.split("MemAvailable:")[1].split()[0]
        return min(1024.0 * int(kibibytes), _left_to_container())
    return memory_bytes()


def _left_to_container() -> float:
    """Return the bytes left below the limit of a container; infinite without limit."""
    try:
        folder = Path("/sys/fs/cgroup")
        most = int((folder / "memory.max").read_text())
        return float(most - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):  # no such files, or "max"
        return float("inf")


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Suppress log messages of libraries that would break the progress display."""
    levels = dict.fromkeys(("tensorflow", "absl", "optuna"), logging.ERROR)
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(keras|tensorflow|optuna)\b")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def diverted_stderr() -> Iterator[None]:
    """Hide the stderr output of native code, unless the block fails."""
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


@dataclass(frozen=True)
class Backend:
    """The backend of Keras in this process, and its settings.

    Attributes:
        name: "tensorflow", "jax" or "torch".
        devices: Such as "CPU:0" and "GPU:0".
        threads: Size of each thread pool; 0: the number of cores.
        is_deterministic: Whether operations sum in a fixed order.
    """

    name: str = ""
    devices: tuple[str, ...] = ()
    threads: Mapping[str, int] = field(default_factory=dict)
    is_deterministic: bool = False


def read_backend() -> Backend:
    """Return the backend of this process; an empty one before Keras is imported."""
    if "keras" not in sys.modules:
        return Backend()
    import keras

    name = keras.backend.backend()
    if name == "torch":
        return Backend(name, _torch_devices())
    if name != "tensorflow":
        return Backend(name, tuple(keras.distribution.list_devices()))
    import tensorflow as tf

    devices = tf.config.list_logical_devices()
    threading = tf.config.threading
    return Backend(
        name,
        tuple(device.name.removeprefix("/device:") for device in devices),
        {
            "intra_op": threading.get_intra_op_parallelism_threads(),
            "inter_op": threading.get_inter_op_parallelism_threads(),
        },
        _is_deterministic(),
    )


def _torch_devices() -> tuple[str, ...]:
    """Return the devices of torch, which Keras 3.15 does not list."""
    import torch

    if torch.backends.mps.is_available():
        return ("mps",)
    n_gpus = torch.cuda.device_count()
    return tuple(f"cuda:{index}" for index in range(n_gpus)) or ("cpu",)


def set_threads(count: int) -> None:
    """Set the number of threads of TensorFlow; to be called before it computes.

    Other backends read ``OMP_NUM_THREADS``.
    """
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)


def set_determinism(wanted: bool) -> None:
    """Enable or disable deterministic operations of TensorFlow.

    On a GPU many operations sum in the order in which threads finish. Other backends
    are not changed. A repeated call costs nothing.
    """
    if "tensorflow" not in sys.modules or _is_deterministic() == wanted:
        return
    from tensorflow.python.framework import config

    if not wanted:
        config.disable_op_determinism()
        return
    config.enable_op_determinism()
    if config.context.global_seed() is None:
        # Deterministic random operations require a seed. Every fold sets its own;
        # this one is for the pre-flight.
        config.context.set_global_seed(1)


def _is_deterministic() -> bool:
    from tensorflow.python.framework import config

    return bool(config.is_op_determinism_enabled())
