"""Optional packages of samplers."""

import importlib.util
from collections.abc import Mapping

from ktune.errors import ExperimentError

_NEEDS: Mapping[str, tuple[str, str]] = {
    "gp": ("torch", 'pip install "ktune[gp]"'),
    "cmaes": ("cmaes", "pip install cmaes"),
}
"""Sampler to the package it needs and the command that installs it."""


def check_installed(sampler: str) -> None:
    """Check that the package of a sampler is installed, before the search starts.

    Raises:
        ExperimentError: It is not; the message has the command that installs it.
    """
    package, remedy = _NEEDS.get(sampler, (None, None))
    if package and importlib.util.find_spec(package) is None:
        raise ExperimentError(
            f"sampler {sampler!r} needs {package}, which is not installed. Install it "
            f"with: {remedy}"
        )
