"""The pre-flight: test an experiment with one batch before anything is written.

It finds a mistake in an experiment within seconds instead of in a failed search, and
writes nothing: it loads and splits the data, builds the model with default values, and
trains one batch.
"""

import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import ktune
from ktune.data import load_data
from ktune.data.compiled_loss import is_regression_loss
from ktune.data.dataset import DataDescription, Dataset, Task, take_rows
from ktune.data.fixed_batch import fixed_batch_size, some_rows
from ktune.data.folds import Partition, split
from ktune.data.output_scale import output_scale
from ktune.data.targets import (
    as_predictions,
    encode_targets,
    learns_scaled_targets,
)
from ktune.data.watching import watched
from ktune.errors import (
    DataError,
    ExperimentError,
    KtuneError,
    ModelLost,
    TrialFailed,
)
from ktune.evaluation.context import SearchContext, make_context
from ktune.evaluation.model_builder import ModelBuilder
from ktune.experiment.experiment import Experiment, override
from ktune.metrics.objectives import of_predictions
from ktune.metrics.scores import compute_metrics
from ktune.models.registry.storage import why_not_as_weights, why_not_whole
from ktune.models.registry.transformer_file import dump_transformer
from ktune.searchers import make_searcher
from ktune.searchers.start_values import check_start_values
from ktune.spaces.hypermodel import own_fit
from ktune.spaces.hyperparameters import declarations, default_values
from ktune.trainers.callback_files import note_on_files
from ktune.trainers.callbacks import make_callbacks
from ktune.trial import Value
from ktune.tuner.custom_task import (
    is_meant_as_custom,
    note_on_custom,
    try_own_scores,
)
from ktune.tuner.output_notes import notes_on_outputs
from ktune.tuner.pruner_choice import MAX_POWERLESS_FOLDS, choose_pruner
from ktune.tuner.settled_by_model import (
    NOTE_ON_FIT_VALUE,
    are_numbers,
    check_model_metrics,
    hint_at_regression,
    is_meant_as_regression,
    note_on_regression,
    objective_of_fit,
)
from ktune.utils.user_code import contained

_T = TypeVar("_T")

_BATCH = 32


@dataclass(frozen=True, eq=False)
class Preflight:
    """Result of the pre-flight.

    Attributes:
        context: The experiment bound to its data.
        dataset: The data, loaded and checked.
        defaults: Values of the configuration of all defaults.
        notes: Notes for the user before the first trial.
        settled: Fields of the experiment that the model has decided.
    """

    context: SearchContext
    dataset: Dataset
    defaults: Mapping[str, Value]
    notes: tuple[str, ...] = ()
    settled: Mapping[str, Any] = field(default_factory=dict)


def preflight(
    experiment: Experiment, notify: Callable[[str], None] = lambda _: None
) -> Preflight:
    """Check an experiment against its data with one small step of each part.

    Args:
        experiment: The experiment.
        notify: Called with progress messages while data are loaded.

    Raises:
        KtuneError: The search would fail; the message has the remedy.
    """
    with watched(by=notify):
        dataset = _guarded("data", lambda: _load(experiment), DataError)
    try:
        partition = _split(experiment, dataset)
    except DataError as error:
        if found := _as_regression(experiment, dataset, notify):
            return found
        raise DataError(f"{error}{hint_at_regression(dataset)}") from error
    context = make_context(experiment, dataset, partition)
    defaults = _guarded("build", lambda: default_values(context.builder.declare))
    check_start_values(context.builder.declare, experiment.start_from)
    callbacks = _guarded(
        "fit", lambda: make_callbacks(context.builder.settings(defaults).callbacks)
    )
    model = _guarded("build", lambda: context.builder.model(defaults))
    if is_meant_as_regression(experiment, context.data, model):
        return _settled_as_regression(experiment, model, notify)
    rows = some_rows(model, context.folds[0].x)
    outputs = _guarded("build", lambda: model(rows))
    if is_meant_as_custom(experiment, context.data, model, outputs):
        return _settled_as_custom(experiment, context.data, outputs, notify)
    if context.data.task is Task.CUSTOM:
        notes = _guarded("build", lambda: try_own_scores(model, context))
    else:
        _check_outputs(outputs, context)
        notes = _try_one_batch(model, context)
    settled = objective_of_fit(context.builder, defaults)
    if settled:
        context = context.with_changes(settled)
        notes = (*notes, NOTE_ON_FIT_VALUE)
    stored = _how_stored(model, context.builder)
    context, more = _resolve_pruner(context, defaults, model)
    _try_searcher(context)
    notes += (*_note_on_fixed_batch(model), *note_on_files(callbacks))
    return Preflight(context, dataset, defaults, (*notes, *stored, *more), settled)


def _note_on_fixed_batch(model: Any) -> tuple[str, ...]:
    size = fixed_batch_size(model)
    if size is None:
        return ()
    return (
        f"The model has a fixed batch size of {size}, which is used instead of the "
        "batch size of `fit`. Incomplete batches are left out in training; states are "
        "reset before every batch that is scored or predicted.",
    )


def _split(experiment: Experiment, dataset: Dataset) -> Partition:
    return split(
        dataset,
        cv=experiment.cv,
        test_size=experiment.test_size,
        seed=experiment.seed,
        stratify=experiment.stratify,
    )


def _as_regression(
    experiment: Experiment, dataset: Dataset, notify: Callable[[str], None]
) -> Preflight | None:
    """Return the pre-flight as a regression, where classes cannot be split.

    None: the targets are no numbers, or the model has no loss for numbers.
    """
    if experiment.task is not None or not are_numbers(dataset):
        return None
    try:
        found = preflight(override(experiment, {"task": "regression"}), notify)
    except KtuneError:
        return None
    model = found.context.builder.model(found.defaults)
    is_compiled_by_ktune = learns_scaled_targets(model)
    if is_compiled_by_ktune or not is_regression_loss(model):
        return None
    return _with_regression(found, model)


def _settled_as_regression(
    experiment: Experiment, model: Any, notify: Callable[[str], None]
) -> Preflight:
    found = preflight(override(experiment, {"task": "regression"}), notify)
    return _with_regression(found, model)


def _settled_as_custom(
    experiment: Experiment,
    data: DataDescription,
    outputs: Any,
    notify: Callable[[str], None],
) -> Preflight:
    found = preflight(override(experiment, {"task": "custom"}), notify)
    notes = (note_on_custom(data, outputs), *found.notes)
    settled = {"task": "custom", **found.settled}
    return replace(found, notes=notes, settled=settled)


def _with_regression(found: Preflight, model: Any) -> Preflight:
    notes = (note_on_regression(model), *found.notes)
    settled = {"task": "regression", **found.settled}
    return replace(found, notes=notes, settled=settled)


def _load(experiment: Experiment) -> Dataset:
    return load_data(experiment.data, name=experiment.name, task=experiment.task)


def _guarded(
    field: str,
    step: Callable[[], _T],
    kind: type[KtuneError] = ExperimentError,
) -> _T:
    """Run the user's code, and raise its errors without a traceback."""
    try:
        with contained(restores_random_state=True):
            return step()
    except KtuneError:
        raise
    except (Exception, SystemExit) as error:
        raise kind(
            f"`{field}` failed{_place(error)}: {type(error).__name__}: {error}"
        ) from error


def _place(error: BaseException) -> str:
    """Return " at FILE, line N" of the innermost frame outside installed packages."""
    own = str(Path(ktune.__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and not frame.filename.startswith(own)
    ]
    return f" at {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""


def _check_outputs(outputs: Any, context: SearchContext) -> None:
    data = context.data
    if isinstance(outputs, list | tuple | dict):
        raise ExperimentError(
            f"`build`: the model has {len(outputs)} outputs, but {data.name} is a "
            f"{data.task} task with one array of targets. Give targets for each output "
            "in a dict or list, or return a model with one output tensor."
        )
    valid = {1, 2} if data.task is Task.BINARY else {data.n_outputs}
    if len(outputs.shape) != 2 or outputs.shape[-1] not in valid:
        wanted = " or ".join(str(n) for n in sorted(valid))
        raise ExperimentError(
            f"`build`: the model's output has shape {tuple(outputs.shape[1:])} a row, "
            f"but {data.name} is a {data.task} task with {data.n_outputs} "
            f"{'classes' if data.task.is_classification else 'targets'}: "
            f"it needs ({wanted},).{hint_at_regression(data)} To score the model by "
            "its own loss and metrics: task='custom'."
        )


def _try_one_batch(model: Any, context: SearchContext) -> tuple[str, ...]:
    fold, data = context.folds[0], context.data
    size = fixed_batch_size(model) or _BATCH
    rows = fold.train[:: max(1, len(fold.train) // size)][:size]
    x = take_rows(fold.x, rows)
    scaling = fold.target_scaling
    y = encode_targets(fold.y[rows], model, data.task, data.n_outputs, scaling)
    model.run_eagerly = True  # a single step is not worth a traced graph
    # Not train_on_batch: it hands a train_step of the user three parts, `fit` two.
    _guarded("build", lambda: model.fit(x, y, batch_size=len(rows), verbose=0))
    outputs = _guarded("build", lambda: np.asarray(model.predict_on_batch(x)))
    notes = notes_on_outputs(model, outputs, data)
    try:
        predictions = as_predictions(
            outputs,
            data.task,
            scale=output_scale(model, data.task, data.n_outputs),
            scaling=scaling if learns_scaled_targets(model) else None,
        )
    except TrialFailed as error:
        raise ExperimentError(
            f"`build`: after one batch with default values, {error}. Choose other "
            "defaults, for instance a smaller learning rate."
        ) from error
    names = of_predictions((context.objective.metric, *context.metrics))
    compute_metrics(names, fold.y[rows], predictions, data.task)
    if own_fit(context.experiment.build) is None:
        check_model_metrics(model, context.builder.model_metrics, y, outputs)
    return notes


def _how_stored(model: Any, builder: ModelBuilder) -> tuple[str, ...]:
    """Return a note where the model is stored as weights alone.

    Raises:
        ExperimentError: No other process could load it or its preprocessing at all.
    """
    if not isinstance(builder.experiment.preprocess, str | None):
        try:
            dump_transformer(builder.experiment.preprocess)
        except ModelLost as error:
            raise ExperimentError(f"{error}.") from error
    reason = why_not_whole(model)
    if not reason:
        return ()
    lacking = why_not_as_weights(builder)
    if lacking:
        raise ExperimentError(
            f"`build`: no other process could load the model: {reason}. Nor can its "
            f"weights be loaded into a new one: {lacking}."
        )
    return (
        f"The model is stored as weights, and built again by `build` when it is "
        f"loaded, since {reason}.",
    )


def _resolve_pruner(
    context: SearchContext, defaults: Mapping[str, Value], model: Any
) -> tuple[SearchContext, tuple[str, ...]]:
    """Choose the pruner for "auto", and return notes on the pruner."""
    experiment, n_folds = context.experiment, len(context.folds)
    if experiment.chosen_pruner == "auto":
        settings = context.builder.settings(defaults)
        name, reason = choose_pruner(n_folds, settings, model.count_params())
        return context.with_changes({"pruner": name}), (
            f"Pruner auto: {name}, since {reason}.",
        )
    is_powerless = n_folds <= MAX_POWERLESS_FOLDS
    if experiment.chosen_pruner.endswith("wilcoxon") and is_powerless:
        return context, (
            f"Pruner {experiment.pruner} cannot stop a trial of {n_folds} folds: its "
            f"test needs more than {MAX_POWERLESS_FOLDS} folds. Use racing.",
        )
    return context, ()


def _try_searcher(context: SearchContext) -> None:
    """Propose two trials in a temporary study: the defaults, and a sampled one.

    It raises an error if the sampler does not support this space, or lacks a package.
    The builder is not run with sampled values: it might crash, and a search evaluates
    such values in a worker, or at most twice.
    """
    with tempfile.TemporaryDirectory() as folder:
        searcher = make_searcher(
            context.experiment,
            declarations(context.builder.declare),
            goal=context.goal,
            path=Path(folder, "study.log"),
        )
        searcher.ask()
        searcher.ask()


def smoke_changes(experiment: Experiment) -> dict[str, Any]:
    """Return the changes that reduce an experiment to two short trials."""
    fewer_folds = {"cv": 2} if isinstance(experiment.cv, int) else {}
    return {"trials": 2, "fit.epochs": 1, **fewer_folds}
