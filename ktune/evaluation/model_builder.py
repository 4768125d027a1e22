"""Build compiled models and fit settings from the values of a trial."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktune.data.compiled_loss import unwrap_loss_of_sequential
from ktune.data.dataset import DataDescription, Task
from ktune.data.model_inputs import name_inputs
from ktune.data.nest import is_shape
from ktune.data.output_scale import set_output_scale
from ktune.data.targets import encode_targets, let_learn_scaled_targets
from ktune.errors import ExperimentError
from ktune.experiment.experiment import Experiment
from ktune.experiment.fit_settings import FitSettings, make_fit_settings
from ktune.metrics.objectives import is_of_model, objective_of_task
from ktune.metrics.scores import LOSS
from ktune.spaces.default_compile import (
    SCHEDULE,
    ask_schedule,
    compile_by_default,
    scheduled,
)
from ktune.spaces.hypermodel import Fit, Rehearsal, own_fit, rehearse
from ktune.spaces.hyperparameters import replay
from ktune.trial import Trial, Value
from ktune.utils.memory import limited_weights
from ktune.utils.runtime import available_bytes
from ktune.utils.user_code import contained

LEAST_ROWS = 32
MOST_BYTES = 2**24
"""Of the rows that the ``fit`` of a HyperModel rehearses with."""


@dataclass(frozen=True, eq=False)
class ModelBuilder:
    """An experiment's ``build`` and ``fit``, bound to its data."""

    experiment: Experiment
    data: DataDescription

    def declare(self, hp: Any) -> None:
        """Let ``build`` and ``fit`` request all their hyperparameters from ``hp``."""
        with contained(restores_random_state=True):
            self._settings(hp, self._build(hp))

    def model(self, values: Mapping[str, Value]) -> Any:
        """Return a new compiled Keras model for these values."""
        return self._build(replay(values))

    def settings(self, values: Mapping[str, Value]) -> FitSettings:
        """Return the fit settings for these values."""
        # `build` may declare values that `fit` reads by `hp.get`; all are known here.
        hp = replay(values)
        has_own_fit = own_fit(self.experiment.build) is not None
        return self._settings(hp, self._build(hp) if has_own_fit else None)

    def settings_of(self, trial: Trial) -> FitSettings:
        """Return the fit settings of a trial, with the trial's own epochs and batch."""
        own = {"epochs": trial.epochs, "batch_size": trial.batch_size}
        changes: dict[str, Any] = {k: v for k, v in own.items() if v is not None}
        return replace(self.settings(trial.values), **changes)

    def memory(self) -> float:
        """Return the free memory for one trial in bytes."""
        return available_bytes() / (self.experiment.jobs or 1)

    def fit(self, values: Mapping[str, Value]) -> Fit | None:
        """Return the ``fit`` of a HyperModel that overrides it, for these values."""
        fit = own_fit(self.experiment.build)
        return None if fit is None else functools.partial(fit, replay(values))

    @property
    def model_metrics(self) -> tuple[str, ...]:
        """The objectives the model computes itself, without its loss."""
        task, given = self.data.task, self.experiment.objectives
        metrics = [objective_of_task(one, task).metric for one in given]
        return tuple(n for n in metrics if is_of_model(n, task) and n != LOSS)

    def fit_returns_number(self, values: Mapping[str, Value]) -> bool:
        """Whether the ``fit`` of a HyperModel returns its own score."""
        hp = replay(values)
        found = self._rehearsed(hp, self._build(hp))
        return found is not None and found.returns_number

    def _build(self, hp: Any) -> Any:
        with contained():
            return self._build_compiled(hp)

    def _build_compiled(self, hp: Any) -> Any:
        with limited_weights(self.memory()):
            model = _builder(self.experiment.build, self.data)(hp)
        if not hasattr(model, "fit") or not hasattr(model, "compile"):
            raise ExperimentError(
                f"`build` must return a Keras model; it returned {model!r}"
            )
        _name_inputs(model, self.data)
        _make_weights(model, self.data)
        is_ours = not model.compiled
        if is_ours:
            columns = _n_columns(model, self.data)
            compile_by_default(model, hp, self.data, columns)
            if not _sets(self.experiment.fit, SCHEDULE):
                ask_schedule(hp)
        unwrap_loss_of_sequential(model)
        if self._scales_targets(is_ours):
            let_learn_scaled_targets(model)
        if self.experiment.outputs != "auto":
            set_output_scale(model, self.experiment.outputs)
        return model

    def _scales_targets(self, is_compiled_by_ktune: bool) -> bool:
        """Whether a model is trained on standardized targets.

        By default it is not if the user compiled it, since its loss and output layer
        may rely on the units of the targets.
        """
        if self.data.task is not Task.REGRESSION:
            return False
        wanted = self.experiment.scale_target
        return is_compiled_by_ktune if wanted is None else wanted

    def _settings(self, hp: Any, model: Any) -> FitSettings:
        requested = self._requested_by_hypermodel(hp, model)
        fit = self.experiment.fit
        with contained():
            settings = fit(hp) if callable(fit) else (fit or {})
        if not isinstance(settings, Mapping):
            raise ExperimentError(f"`fit` must return a dict; it returned {settings!r}")
        defaults = scheduled(hp, settings)
        overrides = self.experiment.fit_overrides or {}
        return make_fit_settings({**defaults, **requested, **settings, **overrides})

    def _requested_by_hypermodel(self, hp: Any, model: Any) -> Mapping[str, int]:
        found = self._rehearsed(hp, model)
        return {} if found is None else found.settings

    def _rehearsed(self, hp: Any, model: Any) -> Rehearsal | None:
        fit = own_fit(self.experiment.build)
        if fit is None:
            return None
        x, y = _some_rows(self.data, model)
        return rehearse(functools.partial(fit, hp), model, x, y)


def _builder(build: Any, data: DataDescription) -> Callable[[Any], Any]:
    """Return ``build`` as a function of ``hp`` alone."""
    # The `build` of a Keras model class builds weights; it is not a HyperModel's.
    is_object = hasattr(build, "build") and not isinstance(build, type)
    function = build.build if is_object else build
    if takes_data(function):
        return lambda hp: function(hp, data)
    return function


def _sets(fit: Any, name: str) -> bool:
    """Whether the ``fit`` field sets a setting, as far as a dict shows it."""
    return isinstance(fit, Mapping) and name in fit


def _some_rows(data: DataDescription, model: Any) -> tuple[Any, Any]:
    """Return random features, and targets of every class, for a ``fit`` to rehearse.

    There are enough rows for a ``fit`` that splits them by class.
    """
    rng, shapes, n_rows = np.random.default_rng(0), data.input_shape, _n_rows(data)
    x: Any = (
        {name: rng.random((n_rows, *s), np.float32) for name, s in shapes.items()}
        if isinstance(shapes, Mapping)
        else rng.random((n_rows, *shapes), np.float32)
    )
    if data.task is Task.CUSTOM:
        return x, _some_targets(data.target_shape, n_rows, rng)
    if data.task.is_classification:
        y = np.arange(n_rows) % data.n_outputs
    else:
        shape = (n_rows,) if data.n_outputs == 1 else (n_rows, data.n_outputs)
        y = rng.integers(0, 2, shape).astype(np.float32)
    return x, encode_targets(y, model, data.task, data.n_outputs)


def _some_targets(shape: Any, n_rows: int, rng: np.random.Generator) -> Any:
    """Return random zeros and ones in the structure of the targets."""
    if is_shape(shape):
        return rng.integers(0, 2, (n_rows, *shape)).astype(np.float32)
    if isinstance(shape, Mapping):
        return {key: _some_targets(part, n_rows, rng) for key, part in shape.items()}
    return [_some_targets(part, n_rows, rng) for part in shape]


def _n_rows(data: DataDescription) -> int:
    given = data.input_shape
    shapes = list(given.values()) if isinstance(given, Mapping) else [given]
    size = 4 * sum(math.prod(shape) for shape in shapes)
    wanted = 10 * data.n_outputs if data.task.is_classification else 0
    return max(LEAST_ROWS, min(wanted, MOST_BYTES // max(size, 1)))


def _name_inputs(model: Any, data: DataDescription) -> None:
    """Let a model with a list of inputs take them by name."""
    shapes = data.input_shape
    if isinstance(shapes, Mapping):
        name_inputs(model, list(shapes))


def _make_weights(model: Any, data: DataDescription) -> None:
    """Build a model that has no weights before its first rows."""
    if getattr(model, "built", True):
        return
    import keras

    shape = data.input_shape
    if isinstance(model, keras.Sequential) and not isinstance(shape, Mapping):
        model.build((None, *shape))  # rows would fix the size of its batches
    if not model.built:
        model(_a_row_of_features(data))


def _n_columns(model: Any, data: DataDescription) -> int | None:
    """Return the columns of the output of a model."""
    # A subclassed model does not know the shape of its output.
    if data.task is Task.CUSTOM:
        return None
    outputs = getattr(model, "outputs", None) or [model(_a_row_of_features(data))]
    columns: int | None = outputs[0].shape[-1]
    return columns


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
