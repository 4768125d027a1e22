"""Set up the heavy libraries: quiet, deterministic, and only when they are needed."""

import contextlib
import importlib.util
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ktune.errors import ExperimentError
from ktune.utils.text import did_you_mean

BACKENDS = ("tensorflow", "jax", "torch")
"""Of Keras; each the name of its package, and of ktune's extra that installs it."""

_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Two requests more for every run, to print lines between ours (3.17).
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow would ask a server that is away for two minutes, seven times over.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "KERAS_BACKEND": "tensorflow",
}


def prepare_environment() -> None:
    """Choose quiet settings where the user has chosen nothing."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def environment_of_worker(threads: int, gpus: float) -> dict[str, str]:
    """Return variables by which a process on any machine computes as this one does.

    Args:
        threads: How many it may use.
        gpus: How many it has, or its share of one; of those, and of their memory,
            TensorFlow takes all it can see.
    """
    prepare_environment()
    count = str(threads)
    found = {name: os.environ[name] for name in _QUIET}
    found |= dict.fromkeys(
        ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), count
    )
    if gpus == 0:
        found["CUDA_VISIBLE_DEVICES"] = "-1"
    elif gpus < 1:
        found["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    return found


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
    with diverted_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras_tuner  # noqa: F401  (brings keras and its backend)


def memory_bytes() -> float:
    """Return how much memory the machine has."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return float("inf")


def available_bytes() -> float:
    """Return how much memory is free for this process, as far as that can be told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path("/proc/meminfo").read_text()
        kibibytes = text.split("MemAvailable:")[1].split()[0]
        return min(1024.0 * int(kibibytes), _left_to_container())
    return memory_bytes()


def _left_to_container() -> float:
    """Return what a container may still take; endless where there is no limit."""
    try:
        folder = Path("/sys/fs/cgroup")
        most = int((folder / "memory.max").read_text())
        return float(most - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):  # no such files, or "max"
        return float("inf")


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep what libraries log from breaking into the progress display."""
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
    """Keep what native code writes to stderr from the screen, unless it fails."""
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
    """What computes, and how.

    Attributes:
        name: Keras's backend.
        devices: Such as "CPU:0" and "GPU:0".
        threads: Kind of thread pool to its size; 0: as many as there are cores.
        is_deterministic: Whether operations are kept from adding up in any order.
    """

    name: str = ""
    devices: tuple[str, ...] = ()
    threads: Mapping[str, int] = field(default_factory=dict)
    is_deterministic: bool = False


def read_backend() -> Backend:
    """Return what computes in this process; nothing before Keras is imported."""
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
    """Return what torch can compute on; Keras does not list it (3.15)."""
    import torch

    if torch.backends.mps.is_available():
        return ("mps",)
    n_gpus = torch.cuda.device_count()
    return tuple(f"cuda:{index}" for index in range(n_gpus)) or ("cpu",)


def set_threads(count: int) -> None:
    """Use so many threads for computing; before anything is computed.

    Backends other than TensorFlow follow ``OMP_NUM_THREADS``.
    """
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)


def set_determinism(wanted: bool) -> None:
    """Have TensorFlow compute in an order that is the same every time, or not.

    On a GPU many operations add up in whatever order threads finish. Other backends
    are left as they are. Calling it again costs nothing.
    """
    if "tensorflow" not in sys.modules or _is_deterministic() == wanted:
        return
    from tensorflow.python.framework import config

    if not wanted:
        config.disable_op_determinism()
        return
    config.enable_op_determinism()
    if config.context.global_seed() is None:
        # Deterministic operations refuse to draw without a seed. Every fold sets its
        # own; this one is for what is tried before the first fold.
        config.context.set_global_seed(1)


def _is_deterministic() -> bool:
    from tensorflow.python.framework import config

    return bool(config.is_op_determinism_enabled())
