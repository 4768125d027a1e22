"""Functions that all trainers share, so that trainers differ in speed only."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ktune.data.dataset import DataDescription, Inputs, Targets, Task, take_rows
from ktune.data.model_outputs import named_outputs, stable_names
from ktune.data.nest import map_arrays, structure_of
from ktune.data.output_scale import OutputScale
from ktune.data.preprocessing import PreparedFold
from ktune.data.targets import as_predictions
from ktune.errors import ExperimentError, TrialFailed
from ktune.metrics.scores import LOSS
from ktune.protocols import FoldEpoch, TrainingTask
from ktune.spaces.hypermodel import as_number
from ktune.trainers.seeding import build_seeded
from ktune.utils.seeds import derive_seed

LIGHT_BELOW = 4_000_000
"""Weights times batch size below which all folds cost about as much as one.

Below, a step is mostly overhead, which folds share in one program and its loop. Above,
it is arithmetic in operations too small to split over cores, so folds run in threads.
"""


def batch_order(fold: PreparedFold, seed: int, epoch: int) -> np.ndarray:
    """Return the rows of one epoch in training order.

    The order depends on the fold's seed and the epoch alone, so every trainer uses
    the same batches.

    Args:
        fold: Its ``train`` rows are shuffled.
        seed: Seed of the fold.
        epoch: Counted from 0.

    Returns:
        Row positions, shape (n_train,).
    """
    return np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(
        fold.train
    )


def build_model(task: TrainingTask, fold_index: int) -> Any:
    """Build the model of a fold with initial weights from its seed.

    A search builds many models, hence the fast `build_seeded`.
    """
    model = build_seeded(task.build, task.seeds[fold_index])
    if not model.built:
        # A model without an Input layer is built by its first call.
        model(take_rows(task.folds[fold_index].x, np.arange(1)))
    return model


def row_weights(fold: PreparedFold, task: TrainingTask) -> np.ndarray | None:
    """Return the weight of every row of the data in the training loss.

    It is the product of the row's own weight and that of its class.

    Returns:
        Weights of shape (n_rows,), or None if all rows have the same weight.

    Raises:
        ExperimentError: Class weights do not fit the classes.
    """
    of_classes = class_weights(fold, task)
    if of_classes is None:
        return fold.weights
    weights = of_classes.astype(np.float32)[fold.y]
    return weights if fold.weights is None else weights * fold.weights


def class_weights(fold: PreparedFold, task: TrainingTask) -> np.ndarray | None:
    """Return the weight of every class; None: all classes count the same.

    "balanced" gives every class of the fold's training rows the same total weight, as
    in scikit-learn. A dict names classes by their label or number; others weigh 1.

    Raises:
        ExperimentError: The task has no classes, or a class of the dict is unknown.
    """
    given, data = task.settings.class_weight, task.data
    if given is None:
        return None
    if not data.task.is_classification:
        raise ExperimentError(
            f"`fit` setting 'class_weight' is {given!r}, but a {data.task} task has no "
            "classes to balance. Leave it out."
        )
    if isinstance(given, Mapping):
        return _weights_by_class(given, data)
    counts = np.bincount(fold.y[fold.train], minlength=data.n_outputs)
    present = np.maximum(counts, 1)
    return np.asarray(len(fold.train) / (np.count_nonzero(counts) * present))


def _weights_by_class(given: Mapping[Any, float], data: DataDescription) -> np.ndarray:
    weights = np.ones(data.n_outputs)
    names = data.class_names or tuple(str(k) for k in range(data.n_outputs))
    for label, weight in given.items():
        if str(label) in names:
            weights[names.index(str(label))] = weight
        elif _is_class_number(label, data):
            weights[label] = weight
        else:
            raise ExperimentError(
                f"`fit` setting 'class_weight' names class {label!r}; the classes are "
                f"{', '.join(map(repr, names[:20]))}."
            )
    return weights


def _is_class_number(label: Any, data: DataDescription) -> bool:
    """Whether a key is a number from 0 on, though the classes have names of text."""
    are_numbers = any(name.lstrip("-").isdigit() for name in data.class_names)
    is_number = isinstance(label, int | np.integer) and not isinstance(label, bool)
    return is_number and not are_numbers and 0 <= label < data.n_outputs


def scored_rows(fold: PreparedFold) -> np.ndarray:
    """Return the scored rows of a fold: the train sample, then validation."""
    return np.concatenate([fold.train_sample, fold.validation])


def fold_epoch(
    outputs: np.ndarray,
    losses: tuple[float, float],
    fold: PreparedFold,
    data: DataDescription,
    *,
    scale: OutputScale,
    is_scaled: bool = False,
    metrics: Sequence[Mapping[str, float]] = ({}, {}),
) -> FoldEpoch:
    """Return the losses and predictions of a fold from the outputs of ``scored_rows``.

    Args:
        outputs: Outputs of the model, shape (n_train_sample + n_validation, k).
        losses: Mean loss over the train sample and over validation.
        fold: The scored fold.
        data: The data; its task decides how outputs become predictions.
        scale: Whether the outputs are probabilities, logits or scores.
        is_scaled: Whether the model was trained on standardized targets.
        metrics: Of the model itself, over the train sample and over validation.

    Raises:
        TrialFailed: A loss or an output is not finite.
    """
    for loss, rows in zip(losses, ("training", "validation"), strict=True):
        require_finite(loss, f"loss over the {rows} rows of fold {fold.index}")
    predictions = as_predictions(
        outputs,
        data.task,
        scale=scale,
        scaling=fold.target_scaling if is_scaled else None,
    )
    n_train = len(fold.train_sample)
    return FoldEpoch(
        train_loss=losses[0],
        validation_loss=losses[1],
        train_predictions=predictions[:n_train],
        validation_predictions=predictions[n_train:],
        train_metrics=metrics[0],
        validation_metrics=metrics[1],
    )


OWN_SCORING_ROWS = 32
"""Rows per call when a model scores itself, as in ``model.evaluate``; a loss that is no
mean over rows depends on it."""


def own_fold_epoch(
    logs: Sequence[Mapping[str, float]],
    outputs: Any,
    model: Any,
    fold: PreparedFold,
    task: TrainingTask,
) -> FoldEpoch:
    """Return the scores of a fold of a custom task, which the model computes itself.

    Args:
        logs: Loss and metrics over the train sample and over validation, by their
            stable names.
        outputs: Outputs of the model for `kept_rows`, in its own structure.
        model: The model.
        fold: The scored fold.
        task: The task; its objectives must be among the metrics.

    Raises:
        TrialFailed: A loss or an output is not finite, or an objective is missing.
    """
    train, validation = logs
    for side, rows in ((train, "training"), (validation, "validation")):
        require_finite(side[LOSS], f"loss over the {rows} rows of fold {fold.index}")
    wanted_metrics(task.model_metrics, validation)
    kept = named_outputs(model, map_arrays(np.asarray, outputs))
    return FoldEpoch(
        train_loss=train[LOSS],
        validation_loss=validation[LOSS],
        train_predictions=None,
        validation_predictions=as_predictions(
            kept, Task.CUSTOM, scale=OutputScale.PROBABILITIES
        ),
        train_metrics=train,
        validation_metrics=validation,
    )


def build_scores(model: Any, x: Any, y: Any) -> None:
    """Make the variables of loss and metrics by a call; a graph cannot make them."""
    outputs = model(x, training=False)
    model.compute_loss(x=x, y=y, y_pred=outputs)
    model.compute_metrics(x, y, outputs)
    model.reset_metrics()


def evaluate(
    model: Any, x: Inputs, y: Targets, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Return loss and compiled metrics of rows, as ``model.evaluate`` computes them."""
    if isinstance(x, Mapping):
        x = dict(x)
    logs = model.evaluate(
        x,
        structure_of(y),
        sample_weight=weights,
        batch_size=OWN_SCORING_ROWS,
        verbose=0,
        return_dict=True,
    )
    return with_stable_names(model, logs)


def metric_logs(model: Any, targets: Targets, outputs: Any) -> dict[str, float]:
    """Return the compiled metrics of outputs by their names in Keras."""
    model.reset_metrics()
    values = model.compute_metrics(None, structure_of(targets), outputs)
    return with_stable_names(model, values)


def with_stable_names(model: Any, logs: Mapping[str, Any]) -> dict[str, float]:
    """Return Keras's logs as numbers, under names that every model has.

    Of a metric with a value for each class, the mean counts.
    """
    names = stable_names(model, list(logs))
    return {names[name]: as_number(value) for name, value in logs.items()}


def wanted_metrics(
    wanted: Sequence[str], logs: Mapping[str, float]
) -> dict[str, float]:
    """Return the wanted metrics out of the logs of a model.

    Raises:
        TrialFailed: One of them is not there.
    """
    for name in wanted:
        if name not in logs:
            known = ", ".join(sorted(logs)) or "none"
            raise TrialFailed(
                f"the objective {name!r} is not among the metrics of the model "
                f"({known}): name it in `compile(metrics=[...])`, or return it from "
                "`fit` of the HyperModel"
            )
    return {name: logs[name] for name in wanted}


def require_finite(value: float, what: str) -> None:
    """Fail the trial if a number is NaN or infinite.

    Raises:
        TrialFailed: The number is not finite.
    """
    if not math.isfinite(value):
        raise TrialFailed(
            f"the {what} is {value}: training diverged. A lower learning rate or "
            "gradient clipping (`clipnorm`) may help."
        )


def chunks(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Split rows into chunks of at most ``size``."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def bytes_of(x: Inputs) -> int:
    """Return the size of the features in bytes."""
    if isinstance(x, Mapping):
        return sum(part.nbytes for part in x.values())
    return int(np.asarray(x).nbytes)


def summarise(model: Any) -> str:
    """Return a model's layers as text, one per line.

    Keras's own ``summary`` renders a table for terminals, which takes longer than an
    epoch of a small model.
    """
    lines = [
        f"{layer.name} ({type(layer).__name__}): "
        f"{_shape_text(layer)}, {layer.count_params():,} parameters"
        for layer in model.layers
    ]
    return "\n".join([*lines, f"total: {model.count_params():,} parameters"])


def _shape_text(layer: Any) -> str:
    try:
        return str(layer.output.shape)
    except (AttributeError, ValueError):  # a layer used several times or never
        return "?"
