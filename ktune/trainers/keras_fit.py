"""The reference trainer: Keras's own ``fit``, one epoch at a time.

It supports any model, callback and backend. Other trainers are tested against it.
"""

import contextlib
import math
import random
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ktune.data.custom_targets import kept_rows
from ktune.data.dataset import Inputs, Targets, Task, take_rows
from ktune.data.fixed_batch import (
    fixed_batch_size,
    predict_in_batches,
    reset_states,
)
from ktune.data.nest import structure_of
from ktune.data.output_scale import output_scale
from ktune.data.preprocessing import PreparedFold
from ktune.data.targets import encode_targets, learns_scaled_targets
from ktune.errors import TrialFailed
from ktune.protocols import FoldEpoch, TrainingTask
from ktune.spaces.hypermodel import Fit, FitEpoch, fit_one_epoch
from ktune.trainers.callbacks import CallbackDriver, make_callbacks
from ktune.trainers.common import (
    batch_order,
    build_model,
    bytes_of,
    chunks,
    evaluate,
    fold_epoch,
    metric_logs,
    own_fold_epoch,
    require_finite,
    row_weights,
    scored_rows,
    summarise,
    wanted_metrics,
    with_stable_names,
)
from ktune.trainers.gradient_registry import forget_gradients_of_optimizer_steps
from ktune.trainers.learning_rate_schedule import rate_factor
from ktune.trainers.weight_averaging import (
    WeightAverage,
    averaged,
    copy_variables,
    flat_weights,
)
from ktune.utils.seeds import derive_seed

SCORING_CHUNK = 512
"""Rows per call when scoring; it does not change the result."""

MAX_COPY_BYTES = 2**28
"""Size of the features up to which the rows of an epoch are copied in order."""


class KerasFitTrainer:
    """Trains with ``model.fit``."""

    name = "keras_fit"

    def start(self, task: TrainingTask) -> "KerasFitTraining":
        """Build one model per fold."""
        return KerasFitTraining(task)


class KerasFitTraining:
    """All folds of a trial, each with its own Keras model.

    Args:
        task: The task.
    """

    def __init__(self, task: TrainingTask) -> None:
        self._task = task
        self._folds = [_FoldTraining(task, i) for i in range(len(task.folds))]
        self._epoch = 0

    @property
    def n_parameters(self) -> int:
        """Trainable and other weights of one model."""
        return int(self._folds[0].model.count_params())

    @property
    def summary(self) -> str:
        """The model's layers as text."""
        return summarise(self._folds[0].model)

    @property
    def wants_to_stop(self) -> bool:
        """Whether a callback of any fold has set ``model.stop_training``."""
        return any(fold.callbacks.wants_to_stop for fold in self._folds)

    def run_epoch(self) -> list[FoldEpoch]:
        """Train every fold for one more epoch and score it.

        Raises:
            TrialFailed: The loss or the outputs are no longer finite.
        """
        scores = [fold.run_epoch(self._epoch) for fold in self._folds]
        self._epoch += 1
        return [score for score in scores if score is not None]

    def model(self, fold_index: int) -> Any:
        """Return the Keras model of a fold, with averaged weights if they are set."""
        fold = self._folds[fold_index]
        if fold.average is None:
            return fold.model
        model = build_model(self._task, fold_index)
        with fold.averaged_weights():
            copy_variables(fold.model, model)
        return model

    def close(self) -> None:
        """Call the last hooks of callbacks, and release the traced graphs."""
        for fold in self._folds:
            fold.callbacks.finish()
        forget_gradients_of_optimizer_steps()


class _FoldTraining:
    """One fold and its model."""

    def __init__(self, task: TrainingTask, index: int) -> None:
        self._task = task
        self._fold: PreparedFold = task.folds[index]
        self._seed = task.seeds[index]
        self._weights = row_weights(self._fold, task)
        callbacks = make_callbacks(task.settings.callbacks, task.folder_of(self._fold))
        self._is_logging = bool(callbacks)
        self.model = build_model(task, index)
        self.average = WeightAverage() if task.settings.average_weights else None
        self._fixed_size = fixed_batch_size(self.model)
        self._targets = encode_targets(
            self._fold.y,
            self.model,
            task.data.task,
            task.data.n_outputs,
            self._fold.target_scaling,
        )
        self.callbacks = CallbackDriver(
            callbacks,
            self.model,
            epochs=task.settings.epochs,
            steps=-(-len(self._fold.train) // task.settings.batch_size),
        )

    def run_epoch(self, epoch: int) -> FoldEpoch | None:
        """Train one epoch and score it; None without validation rows."""
        _seed_globally(self._seed, epoch)
        self._set_learning_rate(epoch)
        self.callbacks.begin_epoch(epoch)
        logs, returned = self._fit(epoch)
        require_finite(logs["loss"], f"training loss of fold {self._fold.index}")
        if self.average is not None:
            self.average.add(flat_weights(self.model))
        if not len(self._fold.validation):
            self.callbacks.end_epoch(epoch, logs)
            return None
        is_custom = self._task.data.task is Task.CUSTOM
        with self.averaged_weights():
            score, validation_logs = (
                self._own_score(returned) if is_custom else self._score(returned)
            )
        self.callbacks.end_epoch(epoch, {**logs, **validation_logs})
        return score

    @cached_property
    def _initial_rate(self) -> float:
        """The learning rate that the model is compiled with; read before any change."""
        return float(self.model.optimizer.learning_rate)

    def _set_learning_rate(self, epoch: int) -> None:
        settings = self._task.settings
        if settings.learning_rate_schedule is not None:
            rate = self._initial_rate * rate_factor(settings, epoch)
            self.model.optimizer.learning_rate = rate

    def averaged_weights(self) -> contextlib.AbstractContextManager[None]:
        """Let the model have averaged weights for the block, if they are set."""
        if self.average is None:
            return contextlib.nullcontext()
        return averaged(self.model, self.average, self._fold.x, self._fold.train)

    def _fit(self, epoch: int) -> tuple[dict[str, float], dict[str, float]]:
        """Train one epoch; return Keras's logs, and the scores a `fit` returned."""
        if self._task.fit is not None:
            found = self._fit_by(self._task.fit, epoch)
            return with_stable_names(self.model, found.logs), found.returned
        order = batch_order(self._fold, self._seed, epoch)
        history = self.model.fit(
            **self._epoch_data(order),
            epochs=1,
            shuffle=False,
            verbose=0,
            callbacks=[self.callbacks.batch_forwarder()],
        )
        logs = {name: values[-1] for name, values in history.history.items()}
        return with_stable_names(self.model, logs), {}

    def _fit_by(self, fit: Fit, epoch: int) -> FitEpoch:
        """Train with the ``fit`` of a HyperModel, which decides about shuffling."""
        rows, validation = self._fold.train, self._fold.validation
        if not len(validation):  # a refit has none, and `fit` may read `val_loss`
            validation = rows[:SCORING_CHUNK]
        weights = self._weights
        return fit_one_epoch(
            fit,
            self.model,
            take_rows(self._fold.x, rows),
            structure_of(self._targets[rows]),
            (
                take_rows(self._fold.x, validation),
                structure_of(self._targets[validation]),
            ),
            sample_weight=None if weights is None else weights[rows],
            checks_rows=epoch == 0,
            batch_size=self._task.settings.batch_size,
            callbacks=[self.callbacks.batch_forwarder()],
        )

    def _epoch_data(self, order: np.ndarray) -> dict[str, Any]:
        """Return the data arguments of ``fit``."""
        size = self._fixed_size or self._task.settings.batch_size
        if self._fixed_size is not None:
            order = self._whole_batches(order, size)
        share = len(order) / len(self._targets)
        if bytes_of(self._fold.x) * share > MAX_COPY_BYTES:
            return {
                "x": _batches(self._fold.x, self._targets, self._weights, order, size)
            }
        return {
            "x": take_rows(self._fold.x, order),
            "y": structure_of(self._targets[order]),
            "sample_weight": None if self._weights is None else self._weights[order],
            "batch_size": size,
        }

    def _score(
        self, returned: Mapping[str, float]
    ) -> tuple[FoldEpoch, dict[str, float]]:
        outputs = self._outputs(scored_rows(self._fold))
        n_train = len(self._fold.train_sample)
        train_logs = self._logs(self._fold.train_sample, outputs[:n_train])
        logs = self._logs(self._fold.validation, outputs[n_train:])
        losses, data = (train_logs["loss"], logs["loss"]), self._task.data
        score = fold_epoch(
            outputs,
            losses,
            self._fold,
            data,
            scale=output_scale(self.model, data.task, data.n_outputs),
            is_scaled=learns_scaled_targets(self.model),
            metrics=self._metrics(train_logs, logs, returned),
        )
        return score, {f"val_{name}": value for name, value in logs.items()}

    def _own_score(
        self, returned: Mapping[str, float]
    ) -> tuple[FoldEpoch, dict[str, float]]:
        """Let the model score itself, and keep some of its outputs."""
        fold = self._fold
        train, logs = (
            evaluate(
                self.model,
                take_rows(fold.x, rows),
                self._targets[rows],
                None if self._weights is None else self._weights[rows],
            )
            for rows in (fold.train_sample, fold.validation)
        )
        kept = kept_rows(fold.y, fold.validation)
        outputs = self.model.predict_on_batch(take_rows(fold.x, kept))
        both = ({**dict.fromkeys(returned, math.nan), **train}, {**logs, **returned})
        score = own_fold_epoch(both, outputs, self.model, fold, self._task)
        return score, {f"val_{name}": value for name, value in logs.items()}

    def _metrics(
        self,
        train: Mapping[str, float],
        validation: Mapping[str, float],
        returned: Mapping[str, float],
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return the model's own metrics; ``fit`` returns those of validation only."""
        wanted = self._task.model_metrics
        unknown = dict.fromkeys(wanted, math.nan)
        return (
            wanted_metrics(wanted, {**unknown, **train}),
            wanted_metrics(wanted, {**validation, **returned}),
        )

    def _whole_batches(self, order: np.ndarray, size: int) -> np.ndarray:
        """Drop the rows after the last whole batch, and begin with fresh states."""
        if len(order) < size:
            raise TrialFailed(
                f"the model has a fixed batch size of {size}, and fold "
                f"{self._fold.index} has {len(order)} training rows"
            )
        reset_states(self.model)
        return order[: len(order) // size * size]

    def _outputs(self, rows: np.ndarray) -> np.ndarray:
        if self._fixed_size is not None:
            x = take_rows(self._fold.x, rows)
            return predict_in_batches(self.model, x, self._fixed_size)
        parts = [
            self.model.predict_on_batch(take_rows(self._fold.x, part))
            for part in chunks(rows, SCORING_CHUNK)
        ]
        return np.concatenate(parts)

    def _logs(self, rows: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Return the loss over rows and, when callbacks read them, the metrics."""
        targets = self._targets[rows]
        if not loss_comes_from_outputs(self.model):
            return _evaluate(self.model, take_rows(self._fold.x, rows), targets)
        loss = self.model.compute_loss(y=targets, y_pred=outputs)
        is_read = self._is_logging or self._task.model_metrics
        metrics = metric_logs(self.model, targets, outputs) if is_read else {}
        return {**metrics, "loss": float(loss)}


def _seed_globally(seed: int, epoch: int) -> None:
    """Seed the global random states so that they depend on fold and epoch alone.

    Layers have their own state; a custom layer, ``train_step`` or callback may not,
    and other folds train in between.
    """
    import keras

    epoch_seed = derive_seed(seed, "global", epoch)
    is_tensorflow = keras.backend.backend() == "tensorflow"
    # Functions traced in epoch 0 capture TensorFlow's seed; torch has one generator
    # for all dropout layers without a seed, which needs a new seed in every epoch.
    if epoch == 0 or not is_tensorflow:
        keras.utils.set_random_seed(epoch_seed)
        return
    # Not set_random_seed: tf.random.set_seed drops every compiled kernel, after which
    # an epoch of a small model took three times as long (TensorFlow 2.21).
    random.seed(epoch_seed)
    np.random.seed(epoch_seed)


def loss_comes_from_outputs(model: Any) -> bool:
    """Whether the loss of a model depends on outputs and weights only.

    It does not if the model computes its own loss or a layer has an activity
    regularizer; then Keras has to evaluate the rows again.
    """
    import keras

    def is_own(layer: Any) -> bool:
        return type(layer).__module__.startswith("keras.")

    has_standard_steps = all(
        getattr(type(model), name) is getattr(keras.Model, name)
        for name in ("test_step", "compute_loss", "compute_metrics")
    )
    layers = model._flatten_layers(include_self=False)
    return has_standard_steps and all(
        is_own(layer) and getattr(layer, "activity_regularizer", None) is None
        for layer in layers
    )


def _evaluate(model: Any, x: Inputs, targets: np.ndarray) -> dict[str, float]:
    logs = model.evaluate(
        x, targets, batch_size=SCORING_CHUNK, verbose=0, return_dict=True
    )
    return with_stable_names(model, logs)


def _batches(
    x: Inputs,
    targets: Targets,
    weights: np.ndarray | None,
    order: np.ndarray,
    size: int,
) -> Any:
    """Return a Keras data set that copies the rows of one batch at a time."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return -(-len(order) // size)

        def __getitem__(self, index: int) -> tuple[Any, ...]:
            rows = order[index * size : (index + 1) * size]
            inputs = take_rows(x, rows)
            if isinstance(inputs, Mapping):
                inputs = dict(inputs)
            if weights is None:
                return inputs, structure_of(targets[rows])
            return inputs, structure_of(targets[rows]), weights[rows]

    return Batches()
