"""Epoch-level Keras callbacks for folds that train outside of Keras models."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ktune.data.dataset import Targets, Task
from ktune.protocols import TrainingTask
from ktune.trainers.callbacks import CallbackDriver, make_callbacks
from ktune.trainers.common import build_model, metric_logs
from ktune.trainers.graph.start import set_weights, start_of


class FoldCallbacks:
    """The callbacks of all folds, each with a Keras model that mirrors its fold.

    Callbacks read and write the model's weights and learning rate. Weights are copied
    to the model before callbacks are called, and copied back afterwards.

    Args:
        task: The task; its settings contain the callbacks.
        targets: Encoded targets of each fold, for compiled metrics.
    """

    def __init__(self, task: TrainingTask, targets: Sequence[Targets]) -> None:
        self._task = task
        self._targets = targets
        self.models = [build_model(task, k) for k in range(len(task.folds))]
        self._drivers = [self._make_driver(k) for k in range(len(task.folds))]

    @property
    def wants_to_stop(self) -> bool:
        """Whether any callback has set ``model.stop_training``."""
        return any(driver.wants_to_stop for driver in self._drivers)

    def begin_epoch(self, epoch: int) -> None:
        """Call the hooks at the beginning of an epoch."""
        for driver in self._drivers:
            driver.begin_epoch(epoch)

    def end_epoch(
        self,
        epoch: int,
        fold_index: int,
        train_loss: float,
        scores: Any,
    ) -> None:
        """Call the hooks at the end of an epoch of one fold.

        Args:
            epoch: Counted from 0.
            fold_index: Index of the fold.
            train_loss: Mean loss while training.
            scores: Outputs and mean loss for train sample and validation, or the logs
                of a custom task; empty without validation rows.
        """
        logs = {"loss": train_loss}
        if scores:
            # Metrics of the train sample after the epoch, rather than Keras's running
            # mean, which lags behind by half an epoch.
            train, validation = self._both_sides(fold_index, scores)
            logs = {**train, **logs}
            logs |= {f"val_{name}": value for name, value in validation.items()}
        self._drivers[fold_index].end_epoch(epoch, logs)

    def show(self, fold_index: int, weights: np.ndarray, rest: list[Any]) -> None:
        """Copy a fold's state to the model of its callbacks."""
        set_weights(self.models[fold_index], weights, rest)

    def read(self, fold_index: int) -> tuple[np.ndarray, list[Any]]:
        """Return the state of the model after changes by callbacks."""
        return start_of(self.models[fold_index])

    def learning_rate(self, fold_index: int) -> float:
        """Return the learning rate after changes by callbacks."""
        return float(self.models[fold_index].optimizer.learning_rate)

    def finish(self) -> None:
        """Call the hooks at the end of training."""
        for driver in self._drivers:
            driver.finish()

    def _make_driver(self, fold_index: int) -> CallbackDriver:
        fold = self._task.folds[fold_index]
        n_train = len(fold.train)
        return CallbackDriver(
            make_callbacks(self._task.settings.callbacks, self._task.folder_of(fold)),
            self.models[fold_index],
            epochs=self._task.settings.epochs,
            steps=-(-n_train // self._task.settings.batch_size),
        )

    def _both_sides(
        self, fold_index: int, scores: Any
    ) -> tuple[dict[str, float], dict[str, float]]:
        if self._task.data.task is Task.CUSTOM:
            train, validation, _ = scores
            return _numbers(train), _numbers(validation)
        fold = self._task.folds[fold_index]
        return (
            self._metrics(fold_index, fold.train_sample, scores[0]),
            self._metrics(fold_index, fold.validation, scores[1]),
        )

    def _metrics(
        self, fold_index: int, rows: np.ndarray, score: tuple[np.ndarray, float]
    ) -> dict[str, float]:
        outputs, loss = score
        model = self.models[fold_index]
        targets = self._targets[fold_index][rows]
        return {**metric_logs(model, targets, outputs), "loss": loss}


def _numbers(logs: Any) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}
