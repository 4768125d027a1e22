"""Which samplers need a package that may not be there."""

import importlib.util
from collections.abc import Mapping

from ktune.errors import ExperimentError

_NEEDS: Mapping[str, tuple[str, str]] = {
    "gp": ("torch", 'pip install "ktune[gp]"'),
    "cmaes": ("cmaes", "pip install cmaes"),
}
"""Sampler to the package it needs and the command that installs it."""


def check_installed(sampler: str) -> None:
    """Raise if a sampler cannot work here; Optuna would say so only in mid-search.

    Raises:
        ExperimentError: With the command that installs what is missing.
    """
    package, remedy = _NEEDS.get(sampler, (None, None))
    if package and importlib.util.find_spec(package) is None:
        raise ExperimentError(
            f"sampler {sampler!r} needs {package}, which is not installed. Install it "
            f"with: {remedy}"
        )
