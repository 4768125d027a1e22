"""Refit the chosen trial on all rows except the test rows, and test it once."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktune.data.dataset import Inputs, Task
from ktune.data.fixed_batch import (
    fixed_batch_size,
    predict_in_batches,
    some_rows,
)
from ktune.data.model_outputs import named_outputs
from ktune.data.output_scale import output_scale
from ktune.data.preprocessing import (
    FittedPreprocessing,
    PreparedFold,
    prepare_refit,
)
from ktune.data.targets import (
    TargetScaling,
    as_predictions,
    in_units,
    learns_scaled_targets,
)
from ktune.errors import RefitFailed, TrialFailed
from ktune.evaluation.context import SearchContext
from ktune.evaluation.latency import measure_latency
from ktune.evaluation.own_scores import PREDICT_BATCH, estimate_own_scores
from ktune.evaluation.retry import attempts
from ktune.evaluation.training_task import make_task
from ktune.metrics.intervals import Estimate, estimate_metrics
from ktune.metrics.objectives import of_predictions
from ktune.metrics.threshold import Threshold, cut_at, of_labels
from ktune.trainers import choose_trainer
from ktune.trial import Trial, Value
from ktune.utils.memory import is_out_of_memory
from ktune.utils.runtime import set_determinism
from ktune.utils.seeds import derive_seed


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model of a trial.

    Attributes:
        model: The Keras model.
        preprocessing: Its fitted preprocessing.
        epochs: Number of epochs of its training.
        values: Values of its trial; None for a combination of several models.
        scaling: Scaling of the targets that its last layer inverts, or None.
    """

    model: Any
    preprocessing: FittedPreprocessing
    epochs: int
    values: Mapping[str, Value] | None = None
    scaling: TargetScaling | None = None


@dataclass(frozen=True, eq=False)
class Refit:
    """A model trained on all rows except the test rows.

    Attributes:
        model: The Keras model.
        preprocessing: Its fitted preprocessing.
        epochs: Number of epochs of its training.
        seconds: Wall time of the training.
        latency_ms: Wall time to predict one row; see `ktune.evaluation.latency`.
        test: Score and interval on the untouched test set by metric; empty without a
            test set. With a threshold also ``<metric>_at_0.5``.
        threshold: Decision threshold; None for 0.5.
        values: Values of its trial; None for a combination of several models.
        scaling: Scaling of the targets that its last layer inverts, or None.
    """

    model: Any
    preprocessing: FittedPreprocessing
    epochs: int
    seconds: float
    latency_ms: float
    test: Mapping[str, Estimate]
    threshold: Threshold | None = None
    values: Mapping[str, Value] | None = None
    scaling: TargetScaling | None = None

    @property
    def trained(self) -> Trained:
        """The model without its scores."""
        return Trained(
            self.model, self.preprocessing, self.epochs, self.values, self.scaling
        )


def refit(
    context: SearchContext,
    trial: Trial,
    *,
    epochs: int,
    threshold: Threshold | None = None,
) -> Refit:
    """Refit a trial and measure it on the test set.

    Args:
        context: The context of the search.
        trial: The chosen trial.
        epochs: Best number of epochs in cross-validation.
        threshold: Decision threshold of the test scores; None for 0.5.
    """
    started = time.perf_counter()
    trained = train_again(context, trial, epochs=epochs)
    seconds = time.perf_counter() - started
    return measured(context, trained, seconds=seconds, threshold=threshold)


def measured(
    context: SearchContext,
    trained: Trained,
    *,
    seconds: float,
    threshold: Threshold | None = None,
) -> Refit:
    """Measure the scores of a trained model on the test set, and its latency."""
    model, preprocessing = trained.model, trained.preprocessing
    row = preprocessing.transform(some_rows(model, context.partition.x))
    return Refit(
        model=model,
        preprocessing=preprocessing,
        epochs=trained.epochs,
        seconds=seconds,
        latency_ms=measure_latency(model, row),
        test=_test(context, model, preprocessing, threshold),
        threshold=threshold,
        values=trained.values,
        scaling=trained.scaling,
    )


def train_again(
    context: SearchContext,
    trial: Trial,
    *,
    epochs: int,
    rows: np.ndarray | None = None,
    seed: int | None = None,
) -> Trained:
    """Train a trial's configuration again, without validation rows.

    Args:
        context: The context of the search.
        trial: The trial.
        epochs: Number of epochs.
        rows: Positions to train on; None: all except the test rows. Preprocessing is
            always fitted on all rows except the test rows.
        seed: Seed of the training; None: that of the trial's refit.
    """
    set_determinism(context.experiment.deterministic)
    fold, preprocessing = prepare_refit(
        context.partition, context.experiment.preprocess, context.kind
    )
    fold = fold if rows is None else replace(fold, train=rows)
    seed = derive_seed(trial.seed, "refit") if seed is None else seed
    with _refit_errors(trial):
        for attempt in attempts(context.builder, trial):
            with attempt:
                model, scaling = _train(context, attempt.trial, fold, seed, epochs)
    return Trained(model, preprocessing, epochs, trial.values, scaling)


def _train(
    context: SearchContext, trial: Trial, fold: PreparedFold, seed: int, epochs: int
) -> tuple[Any, TargetScaling | None]:
    # `epochs` of the settings is the length of a schedule; a refit stops earlier.
    task = make_task(context.builder, trial, [fold], [seed])
    training = choose_trainer(context.experiment.trainer, task).start(task)
    try:
        for _ in range(epochs):
            training.run_epoch()
        model = training.model(0)
        scaling = fold.target_scaling if learns_scaled_targets(model) else None
        if scaling is not None:
            model = in_units(model, scaling)
        return model, scaling
    finally:
        training.close()


@contextlib.contextmanager
def _refit_errors(trial: Trial) -> Iterator[None]:
    """Raise errors with the trial's number, and a remedy for a lack of memory."""
    try:
        yield
    except Exception as error:
        reason = str(error)
        if is_out_of_memory(error):
            details = str(getattr(error, "details", "")) or type(error).__name__
            reason = (
                f"it takes more memory than is free here ({details}). Free some, or "
                "set retry_half_batch=True"
            )
        elif not isinstance(error, TrialFailed):
            raise
        raise RefitFailed(
            f"trial {trial.number} cannot be refitted: {reason}. All trials are kept"
        ) from error


def predict(model: Any, preprocessing: FittedPreprocessing, x: Inputs) -> Any:
    """Return the outputs of the model for raw rows; several outputs by name."""
    rows = preprocessing.transform(x)
    size = fixed_batch_size(model)
    if size is not None:
        return predict_in_batches(model, rows, size)
    outputs = model.predict(rows, batch_size=PREDICT_BATCH, verbose=0)
    return named_outputs(model, outputs)


def _test(
    context: SearchContext,
    model: Any,
    preprocessing: FittedPreprocessing,
    threshold: Threshold | None,
) -> Mapping[str, Estimate]:
    """Score a model on the untouched test set; {} without one."""
    partition, task = context.partition, context.data.task
    if partition.x_test is None or partition.y_test is None:
        return {}
    if task is Task.CUSTOM:
        return estimate_own_scores(
            model,
            preprocessing.transform(partition.x_test),
            partition.y_test,
            partition.weights_test,
            seed=context.experiment.seed,
        )
    outputs = predict(model, preprocessing, partition.x_test)
    scale = output_scale(model, task, context.data.n_outputs)
    predictions = as_predictions(outputs, task, scale=scale)
    names = of_predictions(context.recorded_metrics)
    y, seed = partition.y_test, context.experiment.seed
    weights = partition.weights_test
    at_half = estimate_metrics(names, y, predictions, task, seed=seed, weights=weights)
    if threshold is None:
        return at_half
    cut = cut_at(predictions, threshold.value)
    tuned = estimate_metrics(of_labels(names), y, cut, task, seed=seed, weights=weights)
    both = {f"{name}_at_0.5": at_half[name] for name in tuned}
    return {**at_half, **tuned, **both}
