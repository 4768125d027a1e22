"""From a trial's values to a compiled model and its fit settings."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ktune.dataset import DataDescription
from ktune.errors import ExperimentError
from ktune.experiment import Experiment
from ktune.fit_settings import FitSettings, make_fit_settings
from ktune.hyperparameters import replay
from ktune.spaces.training import compile_by_default
from ktune.trial import Value


@dataclass(frozen=True, eq=False)
class Recipe:
    """An experiment's ``build`` and ``fit``, bound to the data they are for."""

    experiment: Experiment
    data: DataDescription

    def declare(self, hp: Any) -> None:
        """Let ``build`` and ``fit`` ask ``hp`` for all values they need."""
        self._build(hp)
        self._settings(hp)

    def model(self, values: Mapping[str, Value]) -> Any:
        """Return a new compiled Keras model for these values."""
        return self._build(replay(values))

    def settings(self, values: Mapping[str, Value]) -> FitSettings:
        """Return the fit settings for these values."""
        # `build` may declare what `fit` reads by `hp.get`, and values are all here.
        return self._settings(replay(values))

    def _build(self, hp: Any) -> Any:
        model = _builder(self.experiment.build, self.data)(hp)
        if not hasattr(model, "fit") or not hasattr(model, "compile"):
            raise ExperimentError(
                f"`build` must return a Keras model; it returned {model!r}"
            )
        if not model.compiled:
            compile_by_default(model, hp, self.data)
        return model

    def _settings(self, hp: Any) -> FitSettings:
        fit = self.experiment.fit
        given = fit(hp) if callable(fit) else (fit or {})
        if not isinstance(given, Mapping):
            raise ExperimentError(f"`fit` must return a dict; it returned {given!r}")
        return make_fit_settings({**given, **(self.experiment.fit_overrides or {})})


def _builder(build: Any, data: DataDescription) -> Callable[[Any], Any]:
    """Return ``build`` as a function of ``hp`` alone."""
    # A class of models has a `build` too, but that one builds weights.
    is_object = hasattr(build, "build") and not isinstance(build, type)
    function = build.build if is_object else build
    if _takes_data(function):
        return lambda hp: function(hp, data)
    return function


def _takes_data(function: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(function).parameters.values())
    positional = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        and (p.default is p.empty or p.name == "data")
    ]
    return len(positional) >= 2
