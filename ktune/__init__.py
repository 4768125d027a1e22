"""ktune: tune Keras models honestly.

One file and one command: cross-validated search with Optuna or KerasTuner, every
trial in MLflow, the best model refitted, tested once, and registered.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ktune import data, spaces
    from ktune.errors import KtuneError
    from ktune.experiment.experiment import Experiment
    from ktune.models.ensembles.making import ensemble
    from ktune.models.promotion.promoting import promote
    from ktune.models.promotion.rolling_back import rollback
    from ktune.tuner.reproduction import reproduce
    from ktune.tuner.search import load, search

__version__ = "0.1.0"

__all__ = [
    "Experiment",
    "KtuneError",
    "data",
    "ensemble",
    "load",
    "promote",
    "reproduce",
    "rollback",
    "search",
    "spaces",
]

_HOME = {
    "ensemble": "ktune.models.ensembles.making",
    "Experiment": "ktune.experiment.experiment",
    "KtuneError": "ktune.errors",
    "load": "ktune.tuner.search",
    "promote": "ktune.models.promotion.promoting",
    "reproduce": "ktune.tuner.reproduction",
    "rollback": "ktune.models.promotion.rolling_back",
    "search": "ktune.tuner.search",
}


def __getattr__(name: str) -> Any:
    # Public names load their module on first use: `ktune --help` must not wait for
    # TensorFlow.
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in ("data", "spaces"):
        return importlib.import_module(f"ktune.{name}")
    raise AttributeError(f"module 'ktune' has no attribute {name!r}")
