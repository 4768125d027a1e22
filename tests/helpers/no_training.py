"""Searches in which everything is real but the training, to test and time the rest."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np

from ktune.data.dataset import count_rows
from ktune.protocols import TrainingTask
from ktune.testing.fakes import FakeModel, FakeTrainer, FakeTraining
from ktune.tuner.final_model import FinalModel


class ScoredModel(FakeModel):
    """Passes for a compiled model of two classes that reaches a known accuracy.

    Args:
        accuracy: What its first fold reaches after the last epoch, from 0 to 1; every
            further fold reaches two hundredths less.
    """

    built = True
    loss = "binary_crossentropy"
    output_shape = (None, 1)
    run_eagerly = False

    def __init__(self, accuracy: float) -> None:
        self.accuracy = accuracy

    def __call__(self, rows: Any) -> np.ndarray:
        """Predict a half for every row."""
        return np.full((count_rows(rows), 1), 0.5, np.float32)

    predict_on_batch = __call__

    def count_params(self) -> int:
        """Return some number."""
        return FakeTraining.n_parameters


class ScoredTrainer:
    """Has the folds of a `ScoredModel` reach its accuracy in equal steps."""

    name = "no training"

    def start(self, task: TrainingTask) -> FakeTraining:
        """Follow the script that the model's accuracy gives."""
        accuracy, epochs = task.build().accuracy, task.settings.epochs
        folds = [accuracy - 0.02 * fold.index for fold in task.folds]
        shares = [(epoch + 1) / epochs for epoch in range(epochs)]
        script = [[0.5 + (last - 0.5) * share for last in folds] for share in shares]
        return FakeTrainer(script).start(task)


@contextlib.contextmanager
def without_training() -> Iterator[None]:
    """Have trials of `ScoredModel` cost nothing, and nothing be refitted at the end."""
    with (
        patch(
            "ktune.evaluation.evaluate.choose_trainer", lambda *given: ScoredTrainer()
        ),
        # Nothing of such a model is stored, so the form does not matter.
        patch("ktune.tuner.preflight._how_stored", lambda *given: ()),
        without_refit(),
    ):
        yield


@contextlib.contextmanager
def without_refit() -> Iterator[None]:
    """Train trials, but refit and register no model at the end."""
    with patch(
        "ktune.tuner.driver.make_final_model", lambda *given, **named: FinalModel()
    ):
        yield


@contextlib.contextmanager
def without_report() -> Iterator[None]:
    """Record a line in place of the report, which takes a second to render."""
    with patch("ktune.tuner.finalize.render_report", lambda report: "a report"):
        yield
