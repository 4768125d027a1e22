"""From a trial's values to a compiled model and its fit settings."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktune.data.dataset import DataDescription, Task
from ktune.data.output_scale import set_output_scale
from ktune.data.targets import encode_targets, let_learn_scaled_targets
from ktune.errors import ExperimentError
from ktune.experiment.experiment import Experiment
from ktune.experiment.fit_settings import FitSettings, make_fit_settings
from ktune.spaces.default_compile import compile_by_default
from ktune.spaces.hypermodel import Fit, own_fit, settings_asked_for
from ktune.spaces.hyperparameters import replay
from ktune.trial import Trial, Value
from ktune.utils.memory import limited_weights
from ktune.utils.runtime import available_bytes


@dataclass(frozen=True, eq=False)
class ModelBuilder:
    """An experiment's ``build`` and ``fit``, bound to the data they are for."""

    experiment: Experiment
    data: DataDescription

    def declare(self, hp: Any) -> None:
        """Let ``build`` and ``fit`` ask ``hp`` for all values they need."""
        self._settings(hp, self._build(hp))

    def model(self, values: Mapping[str, Value]) -> Any:
        """Return a new compiled Keras model for these values."""
        return self._build(replay(values))

    def settings(self, values: Mapping[str, Value]) -> FitSettings:
        """Return the fit settings for these values."""
        # `build` may declare what `fit` reads by `hp.get`, and values are all here.
        hp = replay(values)
        has_own_fit = own_fit(self.experiment.build) is not None
        return self._settings(hp, self._build(hp) if has_own_fit else None)

    def settings_of(self, trial: Trial) -> FitSettings:
        """Return the fit settings of a trial, which may set some of them itself."""
        own = {"epochs": trial.epochs, "batch_size": trial.batch_size}
        given: dict[str, Any] = {k: v for k, v in own.items() if v is not None}
        return replace(self.settings(trial.values), **given)

    def memory(self) -> float:
        """Return how many bytes are free for one trial."""
        return available_bytes() / (self.experiment.jobs or 1)

    def fit(self, values: Mapping[str, Value]) -> Fit | None:
        """Return the ``fit`` of a HyperModel that overrides it, for these values."""
        fit = own_fit(self.experiment.build)
        return None if fit is None else functools.partial(fit, replay(values))

    def _build(self, hp: Any) -> Any:
        with limited_weights(self.memory()):
            model = _builder(self.experiment.build, self.data)(hp)
        if not hasattr(model, "fit") or not hasattr(model, "compile"):
            raise ExperimentError(
                f"`build` must return a Keras model; it returned {model!r}"
            )
        if not model.built:  # a subclassed model has no weights before its first rows
            model(_a_row_of_features(self.data))
        is_ours = not model.compiled
        if is_ours:
            compile_by_default(model, hp, self.data)
        if self._scales_targets(is_ours):
            let_learn_scaled_targets(model)
        if self.experiment.outputs != "auto":
            set_output_scale(model, self.experiment.outputs)
        return model

    def _scales_targets(self, is_compiled_by_ktune: bool) -> bool:
        """Whether a model learns its targets as 0 ± 1.

        Unless asked for, not where the user's own loss and output layer may count on
        the units of the targets.
        """
        if self.data.task is not Task.REGRESSION:
            return False
        wanted = self.experiment.scale_target
        return is_compiled_by_ktune if wanted is None else wanted

    def _settings(self, hp: Any, model: Any) -> FitSettings:
        asked = self._asked_by_hypermodel(hp, model)
        fit = self.experiment.fit
        given = fit(hp) if callable(fit) else (fit or {})
        if not isinstance(given, Mapping):
            raise ExperimentError(f"`fit` must return a dict; it returned {given!r}")
        overrides = self.experiment.fit_overrides or {}
        return make_fit_settings({**asked, **given, **overrides})

    def _asked_by_hypermodel(self, hp: Any, model: Any) -> dict[str, int]:
        fit = own_fit(self.experiment.build)
        if fit is None:
            return {}
        x, y = _a_row(self.data, model)
        return settings_asked_for(functools.partial(fit, hp), model, x, y)


def _builder(build: Any, data: DataDescription) -> Callable[[Any], Any]:
    """Return ``build`` as a function of ``hp`` alone."""
    # A class of models has a `build` too, but that one builds weights.
    is_object = hasattr(build, "build") and not isinstance(build, type)
    function = build.build if is_object else build
    if takes_data(function):
        return lambda hp: function(hp, data)
    return function


def _a_row(data: DataDescription, model: Any) -> tuple[Any, np.ndarray]:
    """Return features and target of one row of zeros."""
    is_class = data.task.is_classification
    shape = (1,) if is_class or data.n_outputs == 1 else (1, data.n_outputs)
    y = np.zeros(shape, np.int64 if is_class else np.float32)
    y = encode_targets(y, model, data.task, data.n_outputs)
    return _a_row_of_features(data), y


def _a_row_of_features(data: DataDescription) -> Any:
    """Return one row of zeros, an array an input."""
    shapes = data.input_shape
    if isinstance(shapes, Mapping):
        return {
            name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()
        }
    return np.zeros((1, *shapes), np.float32)


def takes_data(function: Callable[..., Any]) -> bool:
    """Whether a ``build`` takes the description of the data beside ``hp``."""
    parameters = list(inspect.signature(function).parameters.values())
    positional = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        and (p.default is p.empty or p.name == "data")
    ]
    return len(positional) >= 2
