"""A refitted model with all that a version in the registry is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktune.data.dataset import Inputs, Task
from ktune.evaluation.model_builder import ModelBuilder
from ktune.evaluation.refit import Refit


@dataclass(frozen=True, eq=False)
class PackagedModel:
    """A model to register.

    Attributes:
        fitted: Model and preprocessing.
        example: A few raw rows.
        task: Its task.
        class_names: In the order of the columns of ``predict``.
        reading: Format of the file of the training rows; None if it was no csv.
        builder: Builds the model from values of a trial; None if unknown.
    """

    fitted: Refit
    example: Inputs
    task: Task
    class_names: Sequence[str] = ()
    reading: Mapping[str, Any] | None = None
    builder: ModelBuilder | None = None
