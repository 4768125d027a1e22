"""Train the chosen trial on all rows that are not test rows, and test it once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktune.dataset import Inputs, take_rows
from ktune.evaluation import Workbench
from ktune.intervals import Estimate, estimate_metrics
from ktune.latency import measure_latency
from ktune.preprocessing import FittedPreprocessing, prepare_refit
from ktune.protocols import TrainingTask
from ktune.seeds import derive_seed
from ktune.targets import as_predictions, returns_logits
from ktune.trainers import choose_trainer
from ktune.trial import Trial

PREDICT_BATCH = 1024


@dataclass(frozen=True, eq=False)
class Refit:
    """A model trained on everything but the test rows.

    Attributes:
        model: The Keras model.
        preprocessing: What raw rows go through before the model.
        epochs: For how many epochs it was trained.
        seconds: Wall time of the training.
        latency_ms: Wall time to predict one row; see `ktune.latency`.
        test: Metric name to score on the untouched test set, with its interval;
            empty when there is no test set.
    """

    model: Any
    preprocessing: FittedPreprocessing
    epochs: int
    seconds: float
    latency_ms: float
    test: Mapping[str, Estimate]


def refit(bench: Workbench, trial: Trial, *, epochs: int) -> Refit:
    """Train the trial's configuration anew and measure it on the test set.

    Args:
        bench: The data and the recipe of the search.
        trial: The configuration chosen.
        epochs: How many epochs cross-validation found best.
    """
    started = time.perf_counter()
    kind = bench.kind
    fold, preprocessing = prepare_refit(
        bench.partition, bench.experiment.preprocess, kind
    )
    settings = replace(
        bench.recipe.settings(trial.values), epochs=epochs, early_stopping=False
    )
    task = TrainingTask(
        build=lambda: bench.recipe.model(trial.values),
        folds=[fold],
        settings=settings,
        seeds=[derive_seed(trial.seed, "refit")],
        data=bench.data,
        fit=bench.recipe.fit(trial.values),
    )
    training = choose_trainer(bench.experiment.trainer, task).start(task)
    try:
        for _ in range(epochs):
            training.run_epoch()
        model = training.model(0)
    finally:
        training.close()
    seconds = time.perf_counter() - started
    test = _test(bench, model, preprocessing)
    latency = measure_latency(model, take_rows(fold.x, np.arange(1)))
    return Refit(model, preprocessing, epochs, seconds, latency, test)


def predict(model: Any, preprocessing: FittedPreprocessing, x: Inputs) -> np.ndarray:
    """Return what the model's own ``predict`` says about raw rows."""
    rows = preprocessing.transform(x)
    return np.asarray(model.predict(rows, batch_size=PREDICT_BATCH, verbose=0))


def _test(
    bench: Workbench, model: Any, preprocessing: FittedPreprocessing
) -> Mapping[str, Estimate]:
    partition, task = bench.partition, bench.data.task
    if partition.x_test is None or partition.y_test is None:
        return {}
    outputs = predict(model, preprocessing, partition.x_test)
    predictions = as_predictions(outputs, task, is_logits=returns_logits(model))
    names = tuple(name for name in bench.recorded_metrics if name != "loss")
    return estimate_metrics(
        names, partition.y_test, predictions, task, seed=bench.experiment.seed
    )
