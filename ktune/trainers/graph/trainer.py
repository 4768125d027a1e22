"""The graph trainer: whole epochs in one TensorFlow graph, shared by folds and trials.

``model.fit`` spends the time of a small model on overhead: data adapters, callbacks
and iterators, created again for every epoch. Here an epoch of all folds is one call,
and its graph is compiled once for all trials whose models have the same structure.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from ktune.data.custom_targets import kept_rows
from ktune.data.dataset import Targets, Task, take_rows
from ktune.data.nest import map_arrays, structure_of
from ktune.data.output_scale import output_scale
from ktune.data.preprocessing import PreparedFold
from ktune.data.targets import encode_targets, learns_scaled_targets
from ktune.errors import ExperimentError
from ktune.protocols import FoldEpoch, TrainingTask
from ktune.trainers.common import (
    batch_order,
    build_model,
    build_scores,
    fold_epoch,
    metric_logs,
    own_fold_epoch,
    require_finite,
    row_weights,
    summarise,
    wanted_metrics,
)
from ktune.trainers.graph.batches import make_batches
from ktune.trainers.graph.callbacks import FoldCallbacks
from ktune.trainers.graph.device_data import DeviceArrays
from ktune.trainers.graph.family import NO_INPUTS, family_inputs
from ktune.trainers.graph.flat_optimizer import has_schedule
from ktune.trainers.graph.limits import NotForGraph, why_not
from ktune.trainers.graph.program import EpochArguments, ProgramState
from ktune.trainers.graph.program_cache import is_light, program_of, structure_of_model
from ktune.trainers.graph.start import build_first, set_weights
from ktune.trainers.graph.weight_layout import WeightLayout
from ktune.trainers.learning_rate_schedule import rate_factor
from ktune.trainers.weight_averaging import (
    WeightAverage,
    has_statistics,
    renew_statistics,
)

_DEVICE_ARRAYS = DeviceArrays()


class GraphTrainer:
    """Trains in compiled graphs; refuses unsupported tasks before it starts."""

    name = "graph"

    def __init__(self) -> None:
        self._prepared: GraphTraining | None = None

    def why_not(self, task: TrainingTask) -> str | None:
        """Return why this task cannot be trained in a graph; None if it can.

        The check takes most of the time of a start, so the training is kept for
        `start`.
        """
        try:
            self._prepared = GraphTraining(task)
        except NotForGraph as reason:
            return str(reason)
        return None

    def start(self, task: TrainingTask) -> "GraphTraining":
        """Compile the program if necessary, and initialize the folds.

        Raises:
            ExperimentError: The model cannot be trained in a graph.
        """
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared.task is task:
            return prepared
        try:
            return GraphTraining(task)
        except NotForGraph as reason:
            raise ExperimentError(
                f"trainer 'graph' cannot train this model: {reason}. Use "
                "trainer='keras_fit', or 'auto' to choose automatically."
            ) from reason


@dataclass(eq=False)
class _Group:
    """Folds that share a program call, and their state."""

    indices: Sequence[int]
    data: tuple[Any, ...]
    scored: list[Any] | None
    state: ProgramState


class GraphTraining:
    """All folds of a trial, trained by a compiled program.

    Args:
        task: The task.

    Raises:
        NotForGraph: It cannot be trained in a graph.
    """

    def __init__(self, task: TrainingTask) -> None:
        self.task = task
        self._epoch = 0
        model, starts = build_first(task)
        if reason := why_not(task, model):
            raise NotForGraph(reason)
        self.n_parameters = int(model.count_params())
        self.summary = summarise(model)
        self._scale = output_scale(model, task.data.task, task.data.n_outputs)
        self._learning_rates = [_learning_rate(model)] * len(task.folds)
        self._is_scaled = learns_scaled_targets(model)
        self._targets = _targets(task, model)
        self._is_custom = task.data.task is Task.CUSTOM
        if self._is_custom:
            _build_scores(model, task.folds[0], self._targets[0])
        self._named = model if self._is_custom else None
        self._scoring_model: Any = None
        self._optimizer_config = model.optimizer.get_config()
        self._callbacks = (
            FoldCallbacks(task, self._targets) if task.settings.callbacks else None
        )
        self._averages = None
        self._statistics_models: list[Any] = []
        if task.settings.average_weights:
            self._averages = [WeightAverage() for _ in task.folds]
            if has_statistics(model):
                folds = range(len(task.folds))
                self._statistics_models = [build_model(task, k) for k in folds]
        size = len(task.folds) if _share_program_call(model, task) else 1
        indices = [
            range(first, first + size) for first in range(0, len(task.folds), size)
        ]
        data = [self._data(group) for group in indices]
        self._layout = WeightLayout(model.trainable_variables)
        serves_family, structure = structure_of_model(model, task)
        self._inputs = family_inputs(model) if serves_family else NO_INPUTS
        self._program = program_of(
            model, structure, task, data[0], n_folds=size, serves_family=serves_family
        )
        self._groups = [
            self._group(group, part, starts)
            for group, part in zip(indices, data, strict=True)
        ]
        self._prepare()
        self._pool = ThreadPoolExecutor(_n_cores()) if len(self._groups) > 1 else None

    @property
    def wants_to_stop(self) -> bool:
        """Whether a callback of any fold has set ``model.stop_training``."""
        return self._callbacks is not None and self._callbacks.wants_to_stop

    def run_epoch(self) -> list[FoldEpoch]:
        """Train every fold for one more epoch and score it.

        Raises:
            TrialFailed: The loss or the outputs are no longer finite.
        """
        self._begin_callbacks()
        run = map if self._pool is None else self._pool.map
        scores: list[FoldEpoch] = []
        for group, (losses, outputs) in zip(
            self._groups, list(run(self._run_group, self._groups)), strict=True
        ):
            for position, index in enumerate(group.indices):
                loss = float(losses[position])
                require_finite(loss, f"training loss of fold {index}")
                raw = outputs[position] if outputs else []
                scores += self._scores(index, raw)
                self._end_callbacks(group, position, loss, raw)
        self._epoch += 1
        return scores

    def model(self, fold_index: int) -> Any:
        """Return a Keras model with a fold's present or averaged weights."""
        if self._callbacks is not None and self._averages is None:
            return self._callbacks.models[fold_index]
        model = build_model(self.task, fold_index)
        weights, rest = self._state_of(fold_index)
        if self._averages is not None:
            weights = self._averages[fold_index].mean()
        set_weights(model, weights, rest)
        if self._averages is not None:
            fold = self.task.folds[fold_index]
            renew_statistics(model, fold.x, fold.train)
        return model

    def close(self) -> None:
        """Call the last hooks of callbacks, and stop the threads."""
        if self._callbacks is not None:
            self._callbacks.finish()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _run_group(self, group: _Group) -> tuple[np.ndarray, list[Any]]:
        orders = [
            batch_order(self.task.folds[k], self.task.seeds[k], self._epoch)
            for k in group.indices
        ]
        group.state, losses, outputs = self._program.run_epoch(
            self._arguments(group, orders)
        )
        if self._averages is not None:
            outputs = self._score_averages(group, self._averages) or outputs
        if self._is_custom:
            return losses, tf.nest.map_structure(lambda part: part.numpy(), outputs)
        return losses, [
            [(rows.numpy(), float(loss)) for rows, loss in fold] for fold in outputs
        ]

    def _score_averages(
        self, group: _Group, averages: Sequence[WeightAverage]
    ) -> list[Any]:
        """Add the present weights to the averages; score these by an empty epoch."""
        for k, weights in zip(group.indices, group.state.weights.numpy(), strict=True):
            averages[k].add(weights)
        if group.scored is None:
            return []
        means = np.stack([averages[k].mean() for k in group.indices])
        rest = [
            self._renewed(k, mean, values)
            for k, mean, values in zip(
                group.indices, means, group.state.rest, strict=True
            )
        ]
        state = replace(group.state, weights=tf.constant(means), rest=rest)
        nothing = [np.zeros(0, np.int32) for _ in group.indices]
        arguments = replace(self._arguments(group, nothing), state=state)
        _, _, outputs = self._program.run_epoch(arguments)
        return outputs

    def _renewed(self, fold_index: int, weights: np.ndarray, rest: Any) -> list[Any]:
        """Return a fold's other variables with statistics of these weights."""
        if not self._statistics_models:
            return list(rest)
        model, fold = self._statistics_models[fold_index], self.task.folds[fold_index]
        set_weights(model, weights, [value.numpy() for value in rest])
        renew_statistics(model, fold.x, fold.train)
        return [tf.convert_to_tensor(v.numpy()) for v in model.non_trainable_variables]

    def _arguments(self, group: _Group, orders: list[np.ndarray]) -> EpochArguments:
        return EpochArguments(
            group.state,
            self._settings(group),
            self._inputs,
            group.data,
            make_batches(orders, self.task.settings.batch_size),
            group.scored,
        )

    def _settings(self, group: _Group) -> np.ndarray:
        factor = rate_factor(self.task.settings, self._epoch)
        rates = [factor * self._learning_rates[k] for k in group.indices]
        return self._program.settings(rates, self._optimizer_config)

    def _scores(self, index: int, raw: list[Any]) -> list[FoldEpoch]:
        if not raw:
            return []
        if self._is_custom:
            return [self._own_scores(index, raw)]
        (train, train_loss), (validation, validation_loss) = raw
        fold = self.task.folds[index]
        return [
            fold_epoch(
                np.concatenate([train, validation]),
                (train_loss, validation_loss),
                fold,
                self.task.data,
                scale=self._scale,
                is_scaled=self._is_scaled,
                metrics=[
                    self._metrics(index, fold.train_sample, train),
                    self._metrics(index, fold.validation, validation),
                ],
            )
        ]

    def _own_scores(self, index: int, raw: Any) -> FoldEpoch:
        train, validation, outputs = raw
        logs = [{n: float(v) for n, v in side.items()} for side in (train, validation)]
        fold = self.task.folds[index]
        return own_fold_epoch(logs, outputs, self._named, fold, self.task)

    def _metrics(
        self, index: int, rows: np.ndarray, outputs: np.ndarray
    ) -> dict[str, float]:
        """Return the model's own metrics that are objectives."""
        wanted = self.task.model_metrics
        if not wanted:
            return {}
        if self._scoring_model is None:  # the program has taken the first one over
            self._scoring_model = build_model(self.task, 0)
        targets = self._targets[index][rows]
        return wanted_metrics(
            wanted, metric_logs(self._scoring_model, targets, outputs)
        )

    def _begin_callbacks(self) -> None:
        if self._callbacks is None:
            return
        self._callbacks.begin_epoch(self._epoch)
        for group in self._groups:
            self._read_callback_changes(group)

    def _end_callbacks(
        self, group: _Group, position: int, loss: float, raw: list[Any]
    ) -> None:
        if self._callbacks is None:
            return
        index = group.indices[position]
        self._callbacks.show(index, *self._state_of(index))
        self._callbacks.end_epoch(self._epoch, index, loss, raw)

    def _read_callback_changes(self, group: _Group) -> None:
        """Read weights and learning rates that callbacks may have changed."""
        assert self._callbacks is not None
        read = [self._callbacks.read(k) for k in group.indices]
        weights = np.stack([weights for weights, _ in read])
        fresh = self._program.initial_state(
            weights, [values for _, values in read], self._layout
        )
        group.state = replace(fresh, optimizer=group.state.optimizer)
        if not self._program.has_schedule:
            for k in group.indices:
                self._learning_rates[k] = self._callbacks.learning_rate(k)

    def _state_of(self, fold_index: int) -> tuple[np.ndarray, list[np.ndarray]]:
        size = len(self._groups[0].indices)
        state, position = self._groups[fold_index // size].state, fold_index % size
        rest = [value.numpy() for value in state.rest[position]]
        return state.weights[position].numpy(), rest

    def _data(self, indices: Sequence[int]) -> tuple[Any, ...]:
        folds = [self.task.folds[k] for k in indices]
        features = [_DEVICE_ARRAYS.inputs(fold.x) for fold in folds]
        weights = [row_weights(fold, self.task) for fold in folds]
        return (
            features,
            [_tensors_of(self._targets[k]) for k in indices],
            [tf.constant(weight) for weight in weights if weight is not None],
        )

    def _group(
        self, indices: Sequence[int], data: tuple[Any, ...], starts: Sequence[Any]
    ) -> _Group:
        folds = [self.task.folds[k] for k in indices]
        scored = None
        if len(folds[0].validation):
            scored = [self._scored(fold) for fold in folds]
        weights = np.stack([starts[k][0] for k in indices])
        rest = [starts[k][1] for k in indices]
        state = self._program.initial_state(weights, rest, self._layout)
        return _Group(indices, data, scored, state)

    def _scored(self, fold: PreparedFold) -> tuple[Any, ...]:
        """Return the rows to score; of a custom task also those of kept outputs."""
        sides = _as_rows(fold.train_sample), _as_rows(fold.validation)
        if not self._is_custom:
            return sides
        return (*sides, _as_rows(kept_rows(fold.y, fold.validation)))

    def _prepare(self) -> None:
        """Trace now rather than in a thread, so that `NotForGraph` is raised early."""
        group = self._groups[0]
        orders = [self.task.folds[k].train for k in group.indices]
        self._program.compile(self._arguments(group, orders))


def _targets(task: TrainingTask, model: Any) -> list[Targets]:
    """Return the targets of every fold: one shared array unless each is scaled."""

    def encode(fold: PreparedFold) -> Targets:
        data = task.data
        scaling = fold.target_scaling
        return encode_targets(fold.y, model, data.task, data.n_outputs, scaling)

    if learns_scaled_targets(model):
        return [encode(fold) for fold in task.folds]
    return [encode(task.folds[0])] * len(task.folds)


def _build_scores(model: Any, fold: PreparedFold, targets: Targets) -> None:
    rows = fold.train[:2]
    x = take_rows(fold.x, rows)
    x = x if isinstance(x, Mapping) else np.asarray(x)
    build_scores(model, x, structure_of(targets[rows]))


def _tensors_of(targets: Targets) -> Any:
    return map_arrays(_DEVICE_ARRAYS.tensor, structure_of(targets))


def _share_program_call(model: Any, task: TrainingTask) -> bool:
    if has_schedule(model.optimizer):  # its step counter is one number
        return False
    return is_light(model, task)


def _learning_rate(model: Any) -> float:
    rate = model.optimizer.learning_rate
    return float(rate)


def _as_rows(rows: np.ndarray) -> Any:
    return tf.constant(rows.astype(np.int32))


def _n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
