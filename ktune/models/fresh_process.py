"""Run a module of ktune in a Python process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ktune


class FreshProcessFailed(Exception):
    """The process failed; the message is the last line of its error output."""


def run_fresh(module: str, words: Sequence[str], folder: Path) -> None:
    """Run a module in a fresh process, which inherits no loaded class.

    Args:
        module: As after ``python -m``.
        words: Its arguments.
        folder: Its working folder, so that it imports nothing from the present one.

    Raises:
        FreshProcessFailed: It does not end with exit code 0.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        env=_environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise FreshProcessFailed(lines[-1][:600])


def _environment() -> dict[str, str]:
    root = str(Path(ktune.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
