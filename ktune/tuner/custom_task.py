"""The pre-flight of a custom task: whether it is one, and one batch of it."""

from typing import Any

import numpy as np

from ktune.data.compiled_loss import keras_loss
from ktune.data.dataset import DataDescription, Kind, Task, take_rows
from ktune.data.fixed_batch import fixed_batch_size
from ktune.data.model_outputs import named_outputs
from ktune.data.nest import map_arrays, structure_of
from ktune.data.output_scale import OutputScale
from ktune.data.targets import as_predictions
from ktune.errors import ExperimentError, TrialFailed
from ktune.evaluation.context import SearchContext
from ktune.experiment.experiment import Experiment
from ktune.spaces.hypermodel import own_fit
from ktune.trainers.common import evaluate, wanted_metrics

_ROWS = 32


def is_meant_as_custom(
    experiment: Experiment, data: DataDescription, model: Any, outputs: Any
) -> bool:
    """Whether a loss of the user reads outputs that do not fit a regression.

    So it is with quantiles: one number is the target, and the model has an output for
    each quantile. A loss of Keras would broadcast such targets in silence.
    """
    if experiment.task is not None or data.task is not Task.REGRESSION:
        return False
    if isinstance(outputs, list | tuple | dict) or keras_loss(model) is not None:
        return False
    return bool(getattr(model, "loss", None)) and tuple(outputs.shape[1:]) != (
        data.n_outputs,
    )


def note_on_custom(data: DataDescription, outputs: Any) -> str:
    """Return the sentence that says why the task is custom."""
    return (
        f"A row of outputs has shape {tuple(outputs.shape[1:])}, a row of targets "
        f"{data.n_outputs} numbers, and the loss is your own: the task is custom, "
        "scored by the loss and the metrics of the model."
    )


def try_own_scores(model: Any, context: SearchContext) -> tuple[str, ...]:
    """Train and score one batch of a custom task; return notes.

    Raises:
        ExperimentError: Loss, outputs or objective are not usable.
    """
    size = fixed_batch_size(model)
    if size is not None:
        raise ExperimentError(
            f"`build`: the model takes batches of {size} rows only, and a custom task "
            "needs a model for batches of any size: leave out the batch size."
        )
    fold = context.folds[0]
    rows = fold.train[:: max(1, len(fold.train) // _ROWS)][:_ROWS]
    x, y = take_rows(fold.x, rows), fold.y[rows]
    model.run_eagerly = True  # a single step is not worth a traced graph
    _fit_one_batch(model, x, y)
    logs = evaluate(model, x, y)
    outputs = map_arrays(np.asarray, model.predict_on_batch(x))
    try:
        if own_fit(context.experiment.build) is None:
            wanted_metrics(context.builder.model_metrics, logs)
        as_predictions(
            named_outputs(model, outputs),
            Task.CUSTOM,
            scale=OutputScale.PROBABILITIES,
        )
    except TrialFailed as error:
        raise ExperimentError(f"`build`: {error}") from error
    return _note_on_images(context)


def _fit_one_batch(model: Any, x: Any, y: Any) -> None:
    try:
        model.fit(x, structure_of(y), batch_size=len(y), verbose=0)
    except (ValueError, KeyError) as error:
        if "structure" not in str(error) and "can't be found" not in str(error):
            raise
        outputs = model.predict_on_batch(x)
        shown = map_arrays(lambda part: tuple(part.shape[1:]), outputs)
        given = map_arrays(lambda part: tuple(part.shape[1:]), structure_of(y))
        raise ExperimentError(
            f"`build`: the outputs of the model and the targets differ in form: "
            f"{shown} and {given}. Give targets in the form of the outputs: a dict "
            "with the same keys, or a list of the same length."
        ) from error


def _note_on_images(context: SearchContext) -> tuple[str, ...]:
    """Return a note where targets are the features before they are preprocessed."""
    raw, y = context.partition.x, context.partition.y
    if not isinstance(raw, np.ndarray) or not isinstance(y, np.ndarray):
        return ()
    if raw.shape != y.shape or not np.array_equal(raw[:8], y[:8]):
        return ()
    prepared = np.asarray(context.folds[0].x)[:8]
    if np.array_equal(prepared, y[:8]):
        return ()
    remedy = (
        "give X / 255 as both" if context.kind is Kind.IMAGE else "scale X yourself"
    )
    return (
        "Targets are the features as given, but the model gets them preprocessed: "
        f"outputs would have to undo that. Probably better: {remedy}, with "
        "preprocess=None.",
    )
