"""MLflow's autologging, which is off while ktune trains: a search logs itself."""

import contextlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def autologging_off(tell: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Switch autologging off for the block, and on again as it was.

    ``mlflow.autolog()`` in an experiment file would log a run for every ``fit`` of
    every fold, and scikit-learn's for every baseline.

    Args:
        tell: Called with a sentence if there was something to switch off.
    """
    before = switch_off_autologging()
    if before:
        calls = ", ".join(f"mlflow.{name}.autolog()" for name in sorted(before))
        tell(
            f"{calls}: autologging is off during the search, which logs its trials to "
            "MLflow itself."
        )
    try:
        yield
    finally:
        for name, config in before.items():
            _autolog(name)(**config)


def switch_off_autologging() -> Mapping[str, Mapping[str, Any]]:
    """Switch off all autologging of this process.

    Returns:
        Name of a library to the arguments its autologging was switched on with.
    """
    found = sys.modules.get("mlflow.utils.autologging_utils")
    known = getattr(found, "AUTOLOGGING_INTEGRATIONS", None) or {}
    active = {
        name: dict(config)
        for name, config in known.items()
        if config and not config.get("disable", False)
    }
    for name in active:
        _autolog(name)(disable=True, silent=True)
    return {name: _arguments(name, config) for name, config in active.items()}


def _autolog(name: str) -> Callable[..., None]:
    function: Callable[..., None] = importlib.import_module(f"mlflow.{name}").autolog
    return function


def _arguments(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return those entries of a configuration that ``autolog`` takes."""
    parameters = inspect.signature(_autolog(name)).parameters
    return {key: value for key, value in config.items() if key in parameters}
