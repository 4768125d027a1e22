"""Fields of an experiment that the model decides: its task, and its objective."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktune.data.compiled_loss import is_regression_loss, keras_loss
from ktune.data.dataset import DataDescription, Dataset
from ktune.data.output_scale import last_activation
from ktune.errors import ExperimentError, TrialFailed
from ktune.evaluation.model_builder import ModelBuilder
from ktune.experiment.experiment import Experiment
from ktune.spaces.hypermodel import own_fit
from ktune.trainers.common import metric_logs, wanted_metrics
from ktune.trial import FIT_VALUE, Value

NOTE_ON_FIT_VALUE = (
    f"The number that `fit` of the HyperModel returns is the objective ({FIT_VALUE}, "
    "smaller is better, as in KerasTuner). Give `objective` to follow a metric."
)


def is_meant_as_regression(
    experiment: Experiment, data: DataDescription, model: Any
) -> bool:
    """Whether whole numbers that look like classes are numbers to the model.

    So it is when the model has one output that is not squeezed between 0 and 1, and a
    loss of Keras for numbers.
    """
    if experiment.task is not None or not are_numbers(data):
        return False
    shape = getattr(model, "output_shape", None)
    has_one_output = isinstance(shape, tuple) and shape[-1] == 1
    is_bounded = last_activation(model) in ("sigmoid", "softmax", "tanh")
    return has_one_output and not is_bounded and is_regression_loss(model)


def note_on_regression(model: Any) -> str:
    """Return the sentence that says why the task is a regression."""
    return (
        f"Targets are whole numbers and the loss is {keras_loss(model)}: the task is "
        "regression. If they are classes, give the experiment task='multiclass' or "
        "'binary'."
    )


def hint_at_regression(data: DataDescription | Dataset) -> str:
    """Return what to do if targets that look like classes are numbers; "" if not."""
    if not are_numbers(data):
        return ""
    return " If the targets are numbers, not classes: task='regression'."


def objective_of_fit(
    builder: ModelBuilder, defaults: Mapping[str, Value]
) -> dict[str, Any]:
    """Return the objective as a change, where ``fit`` returns its own score."""
    experiment = builder.experiment
    if experiment.objective is not None or own_fit(experiment.build) is None:
        return {}
    is_number = builder.fit_returns_number(defaults)
    return {"objective": (FIT_VALUE, "min")} if is_number else {}


def check_model_metrics(
    model: Any, wanted: Sequence[str], targets: np.ndarray, outputs: np.ndarray
) -> None:
    """Check that the model computes the metrics that are objectives.

    Raises:
        ExperimentError: It does not; naming those that it computes.
    """
    if not wanted:
        return
    try:
        wanted_metrics(wanted, metric_logs(model, targets, outputs))
    except TrialFailed as error:
        raise ExperimentError(str(error)) from error


def are_numbers(data: DataDescription | Dataset) -> bool:
    """Whether targets that were taken for classes are written as numbers."""
    if not data.task.is_classification or not data.class_names:
        return False
    return all(
        name.lstrip("-").replace(".", "", 1).isdigit() for name in data.class_names
    )
