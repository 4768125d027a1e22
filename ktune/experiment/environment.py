"""The environment of a search: git state, versions and machine, to reproduce it.

Only a fixed list of environment variables is recorded, so that no secrets are.
"""

import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ktune.utils.runtime import Backend, read_backend

RECORDED_VARIABLES = (
    "KERAS_BACKEND",
    "KTUNE_DATA_DIR",
    "OMP_NUM_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "CUDA_VISIBLE_DEVICES",
)

KEY_PACKAGES = (
    "keras",
    "keras-tuner",
    "mlflow",
    "numpy",
    "optuna",
    "pandas",
    "scikit-learn",
    "tensorflow",
)


@dataclass(frozen=True)
class Environment:
    """The machine and the software a search runs on.

    Attributes:
        python: Version of Python.
        platform: Operating system and architecture.
        processor: Model of the CPU.
        cpus: Number of CPUs that this process may use.
        ktune: Version of ktune.
        packages: Installed package to version.
        variables: Values of `RECORDED_VARIABLES` that are set.
        backend: Backend of Keras with devices, threads and determinism.
    """

    python: str
    platform: str
    processor: str
    cpus: int
    ktune: str
    packages: Mapping[str, str]
    variables: Mapping[str, str]
    backend: Backend = field(default_factory=Backend)

    def as_dict(self) -> dict[str, object]:
        """Return all fields as plain values."""
        return asdict(self)

    def requirements(self) -> str:
        """Return the packages as lines of a requirements file."""
        return "".join(f"{n}=={v}\n" for n, v in sorted(self.packages.items()))


def read_environment() -> Environment:
    """Return the environment of this process."""
    from ktune import __version__

    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        processor=_processor(),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        ktune=__version__,
        packages=dict(_installed_packages()),
        variables={n: os.environ[n] for n in RECORDED_VARIABLES if n in os.environ},
        backend=read_backend(),
    )


def read_git_state(folder: Path) -> dict[str, str]:
    """Return ``commit`` and ``diff`` (uncommitted changes), or {} outside git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    # The user may have configured colours or an external diff tool.
    plain = ("--no-color", "--no-ext-diff")
    diff = _git(folder, "diff", *plain, "HEAD", "--", ".") or ""
    return {"commit": commit.strip(), "diff": diff}


@functools.cache
def _installed_packages() -> tuple[tuple[str, str], ...]:
    """Return the installed packages with their versions, read once per process."""
    metadata = [each.metadata for each in importlib.metadata.distributions()]
    return tuple((m["Name"].lower(), m["Version"]) for m in metadata if m["Name"])


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None  # no git, no repository, no commit yet
    return done.stdout.decode(errors="replace")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
