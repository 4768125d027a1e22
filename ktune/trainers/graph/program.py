"""One epoch of training and scoring, for several folds, as one TensorFlow function.

A program is pure: it maps a state to a new state, and data, batch order and learning
rate are arguments. It keeps no state of a trial, so one program serves all trials
whose models have the same structure.

In the code, *weights* is the matrix of all trainable weights, one row per fold; *rest*
is the list of a fold's other variables: states of random generators, moving averages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ktune.trainers.common import OWN_SCORING_ROWS
from ktune.trainers.graph.batches import StepBatches
from ktune.trainers.graph.family import FamilyInputs
from ktune.trainers.graph.flat_optimizer import FlatOptimizer
from ktune.trainers.graph.fused_optimizer import FusedOptimizer, can_fuse
from ktune.trainers.graph.limits import NotForGraph
from ktune.trainers.graph.model_call import ModelCall
from ktune.trainers.graph.rewriting import rewriting
from ktune.trainers.graph.specs import specs_of
from ktune.trainers.graph.weight_layout import OpenLayout, WeightLayout

SCORING_CHUNK = 512
"""Rows scored at a time, so that activations of a whole fold are never in memory."""


@dataclass(frozen=True, eq=False)
class ProgramState:
    """State of a training.

    Attributes:
        weights: Shape (n_folds, n_weights), float32.
        optimizer: State of the optimizer.
        rest: For each fold, the values of the model's other variables.
    """

    weights: Any
    optimizer: list[Any]
    rest: list[list[Any]]


@dataclass(frozen=True, eq=False)
class EpochArguments:
    """Arguments of one epoch.

    Attributes:
        state: State of the training.
        settings: From `EpochProgram.settings`.
        inputs: Inputs of the model; empty if the program serves one shape.
        data: Features, targets and row weights, each a list with one item per fold;
            row weights may be empty.
        batches: Batches to train on.
        scored: For each fold, two sets of rows, and of a custom task the rows whose
            outputs are kept; None to skip scoring.
    """

    state: ProgramState
    settings: np.ndarray
    inputs: FamilyInputs
    data: tuple[Any, ...]
    batches: StepBatches
    scored: Sequence[tuple[Any, Any]] | None

    @property
    def tensors(self) -> tuple[Any, ...]:
        """The arguments in the order the compiled function takes them."""
        state = self.state
        tensors = (
            (state.weights, state.optimizer, state.rest),
            tf.constant(self.settings),
            tuple(tf.constant(part) for part in self.inputs.arrays),
            self.data,
            tuple(tf.constant(part) for part in self.batches.arrays),
        )
        return tensors if self.scored is None else (*tensors, self.scored)


class EpochProgram:
    """Compiled training of a model.

    Args:
        model: A compiled, built Keras model. The program owns it and its optimizer,
            but never reads or writes its variables.
        n_folds: Number of folds in one call.
        is_uneven: Whether some folds have more full batches than others.
        is_light: Whether a step has so little arithmetic that TensorFlow's graph
            optimizer costs more than it gains.
        serves_family: Whether it also trains models of other widths, see `family`.
        scores_itself: Whether loss and metrics of the model are its scores, as in a
            custom task; their variables exist (see `common.build_scores`).
    """

    def __init__(
        self,
        model: Any,
        *,
        n_folds: int,
        is_uneven: bool,
        is_light: bool,
        serves_family: bool = False,
        scores_itself: bool = False,
    ) -> None:
        self._model = model
        self._scores_itself = scores_itself
        self._is_uneven = is_uneven
        self._is_light = is_light
        self._serves_family = serves_family
        self._layout = WeightLayout(model.trainable_variables)
        self._call = ModelCall(
            model, serves_family=serves_family, scores_itself=scores_itself
        )
        self._optimizer = _make_optimizer(
            model, self._layout, n_folds, is_light=is_light
        )
        self._n_folds = n_folds
        # Each is traced once and called for every fold. Without inlining, they are
        # also optimised once: the first trial of a structure starts twice as soon,
        # and steps take no longer.
        self._gradient = _function(self._trace_gradient, _noinline=True)
        self._score = _function(self._trace_scores, _noinline=True)
        self._own_score = _function(self._trace_own_scores, _noinline=True)
        self._compiled: Any = None

    @property
    def has_schedule(self) -> bool:
        """Whether the learning rate follows the optimizer's own schedule."""
        return self._optimizer.has_schedule

    def settings(
        self, learning_rates: Sequence[float], config: Mapping[str, Any]
    ) -> np.ndarray:
        """Return the numbers of a trial's optimizer, which are inputs.

        Args:
            learning_rates: One per fold.
            config: ``get_config`` of the trial's optimizer.
        """
        return self._optimizer.settings(learning_rates, config)

    def initial_state(
        self, weights: np.ndarray, rest: list[list[Any]], layout: WeightLayout
    ) -> ProgramState:
        """Return the state before the first step.

        Args:
            weights: Shape (n_folds, n_weights).
            rest: For each fold, the values of ``non_trainable_variables``.
            layout: Of the weights of the model that is trained.
        """
        return ProgramState(
            tf.constant(np.pad(weights, ((0, 0), (0, layout.n_padding)))),
            self._optimizer.initial_state(layout),
            [[tf.convert_to_tensor(value) for value in values] for values in rest],
        )

    def compile(self, arguments: EpochArguments) -> None:
        """Trace the program for arguments of this structure, unless already traced.

        Args:
            arguments: As for `run_epoch`; numbers of rows and steps may differ later.

        Raises:
            NotForGraph: A graph cannot represent the model.
        """
        if self._compiled is not None:
            return
        is_scored = arguments.scored is not None
        function = _function(self._trace_all if is_scored else self._trace_train)
        with rewriting(fuses=not self._is_light):
            specs = specs_of(arguments.tensors, is_open=self._serves_family)
            compiled = function.get_concrete_function(*specs)
        if any(t.dtype == tf.resource for t in compiled.captured_inputs):
            raise NotForGraph("a layer keeps state outside of Keras variables")
        self._compiled = compiled

    def run_epoch(
        self, arguments: EpochArguments
    ) -> tuple[ProgramState, np.ndarray, list[Any]]:
        """Train all folds one epoch, then score them.

        Args:
            arguments: State, settings, data and batches of the epoch.

        Returns:
            The new state; the mean training loss, shape (n_folds,); and for each
            fold and set of rows the outputs and the mean loss. Of a custom task, for
            each fold the logs of both sets and the outputs of the kept rows.
        """
        with rewriting(is_on=not self._is_light):
            new_state, losses, *scores = self._compiled(*arguments.tensors)
        return ProgramState(*new_state), losses.numpy(), scores[0] if scores else []

    def _trace_all(
        self,
        state: Any,
        settings: Any,
        inputs: Any,
        data: Any,
        batches: Any,
        scored: Any,
    ) -> tuple[Any, Any, Any]:
        state, losses = self._trace_train(state, settings, inputs, data, batches)
        weights, _, rest = state
        if self._scores_itself:
            return state, losses, self._trace_all_own(state, inputs, data, scored)
        features, targets, _ = data
        layout, numbers = self._layout_of(inputs), inputs[1]
        folds = zip(tf.unstack(weights), rest, features, targets, strict=True)
        scores = [
            [self._score(layout.split(row), numbers, *fold, rows) for rows in row_sets]
            for (row, *fold), row_sets in zip(folds, scored, strict=True)
        ]
        return state, losses, scores

    def _trace_all_own(self, state: Any, inputs: Any, data: Any, scored: Any) -> Any:
        """Return logs of train sample and validation, and some outputs, by fold."""
        weights, _, rest = state
        layout, numbers = self._layout_of(inputs), inputs[1]
        folds = zip(tf.unstack(weights), rest, *_by_fold(data), scored, strict=True)
        scores = []
        for row, rest_of_fold, features, targets, row_weights, row_sets in folds:
            of_model = (layout.split(row), numbers, rest_of_fold)
            of_data = (features, targets, row_weights)
            *sides, kept = row_sets
            logs = [self._own_score(*of_model, *of_data, rows) for rows in sides]
            outputs = self._call(*of_model, *of_data, kept, is_training=False)[0]
            scores.append((*logs, outputs))
        return scores

    def _layout_of(self, inputs: Any) -> WeightLayout | OpenLayout:
        if not self._serves_family:
            return self._layout
        return OpenLayout([len(shape) for shape in self._layout.shapes], inputs[0])

    def _trace_train(
        self, state: Any, settings: Any, inputs: Any, data: Any, batches: Any
    ) -> tuple[Any, Any]:
        full, uneven, uneven_counts, partial, partial_counts = batches
        batch_size = full.shape[-1]

        def full_step(i: Any, state: Any, sums: Any) -> Any:
            state, losses = self._step(
                state, settings, inputs, data, _at(full, i), None
            )
            return i + 1, state, sums + losses * float(batch_size)

        def uneven_step(i: Any, state: Any, sums: Any) -> Any:
            counts = tf.gather(uneven_counts, i)
            rows = _at(uneven, i)
            state, losses = self._step(state, settings, inputs, data, rows, counts)
            return i + 1, state, sums + losses * tf.cast(counts, tf.float32)

        def partial_step(i: Any, state: Any, sums: Any) -> Any:
            counts = tf.gather(partial_counts, i)
            # At least one row, whose result is ignored: some convolutions abort the
            # process on an empty batch (TensorFlow 2.21, CPU).
            ends = tf.unstack(tf.maximum(counts, 1))
            pairs = zip(_at(partial, i), ends, strict=True)
            rows = [row[:end] for row, end in pairs]
            state, losses = self._step(state, settings, inputs, data, rows, counts)
            return i + 1, state, sums + losses * tf.cast(counts, tf.float32)

        weights, optimizer_state, rest = state
        layout: Any = self._layout_of(inputs)
        opened = (self._optimizer.open(weights, optimizer_state, layout), rest)
        carried = (opened, tf.zeros(self._n_folds))
        carried = _repeat(full_step, tf.shape(full)[0], carried)
        if self._is_uneven:
            carried = _repeat(uneven_step, tf.shape(uneven)[0], carried)
        (trained, rest), sums = _repeat(partial_step, tf.shape(partial)[0], carried)
        n_rows = tf.shape(full)[0] * batch_size + sum(
            tf.reduce_sum(counts, axis=0) for counts in (uneven_counts, partial_counts)
        )
        state = (*self._optimizer.close(trained), rest)
        return state, sums / tf.cast(n_rows, tf.float32)

    def _step(
        self,
        state: Any,
        settings: Any,
        inputs: Any,
        data: Any,
        rows: Sequence[Any],
        counts: Any,
    ) -> tuple[Any, Any]:
        """Make one step in every fold that has rows left."""
        trained, rest = state
        weights = self._optimizer.weights(trained)
        folds = zip(
            weights, tf.unstack(settings), rest, *_by_fold(data), rows, strict=True
        )
        steps = [self._gradient(inputs[1], *fold) for fold in folds]
        losses, gradients, new_rest = (list(part) for part in zip(*steps, strict=True))
        is_active = None if counts is None else counts > 0
        new = self._optimizer.step(trained, gradients, settings, is_active)
        if is_active is not None:
            new_rest = _where_active(is_active, new_rest, rest)
        return (new, new_rest), tf.stack(losses)

    def _trace_gradient(
        self,
        numbers: Any,
        weights: Sequence[Any],
        settings: Any,
        rest: Any,
        features: Any,
        targets: Any,
        row_weights: Any,
        rows: Any,
    ) -> tuple[Any, Sequence[Any], list[Any]]:
        """Return loss, gradients and new rest of one fold for one batch."""
        _, loss, rest = self._call(
            weights,
            numbers,
            rest,
            features,
            targets,
            row_weights,
            rows,
            is_training=True,
        )
        gradients = _gradient_of(loss, weights)
        if any(gradient is None for gradient in gradients):
            # Keras does not update such weights, not even by decay or momentum.
            raise NotForGraph("some weights do not take part in the loss")
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        return loss, self._optimizer.clip(dense, settings), rest

    def _trace_scores(
        self,
        weights: Any,
        numbers: Any,
        rest: Any,
        features: Any,
        targets: Any,
        rows: Any,
    ) -> tuple[Any, Any]:
        """Return outputs and mean loss over rows, chunk by chunk."""
        n_rows = tf.shape(rows)[0]
        n_chunks = -(-n_rows // SCORING_CHUNK)
        outputs = tf.TensorArray(
            self._model.compute_dtype, n_chunks, infer_shape=False, element_shape=None
        )

        def chunk(i: Any, outputs: Any, total: Any) -> Any:
            part = rows[i * SCORING_CHUNK : (i + 1) * SCORING_CHUNK]
            output, loss, _ = self._call(
                weights,
                numbers,
                rest,
                features,
                targets,
                None,
                part,
                is_training=False,
            )
            count = tf.cast(tf.shape(part)[0], tf.float32)
            return i + 1, outputs.write(i, output), total + loss * count

        _, outputs, total = tf.while_loop(
            lambda i, *_: i < n_chunks,
            chunk,
            (0, outputs, 0.0),
        )
        return outputs.concat(), total / tf.cast(n_rows, tf.float32)

    def _trace_own_scores(
        self,
        weights: Any,
        numbers: Any,
        rest: Any,
        features: Any,
        targets: Any,
        row_weights: Any,
        rows: Any,
    ) -> dict[str, Any]:
        """Return loss and metrics over rows, chunk by chunk as Keras's evaluate."""
        n_chunks = -(-tf.shape(rows)[0] // OWN_SCORING_ROWS)

        def chunk(i: Any, metrics: Any) -> Any:
            part = rows[i * OWN_SCORING_ROWS : (i + 1) * OWN_SCORING_ROWS]
            return i + 1, self._call.update_metrics(
                weights, numbers, rest, metrics, features, targets, row_weights, part
            )

        fresh = [tf.constant(value) for value in self._call.fresh_metrics]
        _, metrics = tf.while_loop(lambda i, _: i < n_chunks, chunk, (0, fresh))
        return self._call.results(metrics)


def _by_fold(data: Any) -> tuple[Any, Any, Any]:
    features, targets, row_weights = data
    return features, targets, row_weights or [None] * len(features)


def _at(steps: Any, i: Any) -> list[Any]:
    """Return the rows of step i, fold by fold."""
    return tf.unstack(tf.gather(steps, i))


def _function(python_function: Any, **attributes: bool) -> Any:
    return tf.function(
        python_function, autograph=False, experimental_attributes=attributes or None
    )


def _gradient_of(loss: Any, weights: Sequence[Any]) -> list[Any]:
    """Return the gradients, reproducible to the last bit.

    The contributions to a tensor are added in pairs: TensorFlow adds three or more
    (``AddN``) in an order that depends on the free memory at that moment, so that the
    last bit would be random. Inside a loop, such as that of a GRU, TensorFlow itself
    adds the contributions, and the last bit may differ.
    """
    in_pairs = tf.AggregationMethod.EXPERIMENTAL_TREE
    gradients: list[Any] = tf.gradients(loss, weights, aggregation_method=in_pairs)
    return gradients


def _repeat(step: Any, n_steps: Any, carried: Any) -> Any:
    """Run ``step(i, *carried)`` for a number of steps."""
    result = tf.while_loop(lambda i, *_: i < n_steps, step, (0, *carried))
    return result[1:]


def _where_active(is_active: Any, new: Sequence[Any], old: Sequence[Any]) -> list[Any]:
    """Keep the old values of folds without rows."""
    return [
        [tf.where(is_active[k], a, b) for a, b in zip(new[k], old[k], strict=True)]
        for k in range(len(new))
    ]


def _make_optimizer(
    model: Any, layout: WeightLayout, n_folds: int, *, is_light: bool
) -> FlatOptimizer | FusedOptimizer:
    """Return the optimizer with the fewest operations, or the least memory traffic."""
    variables = model.trainable_variables
    if not is_light and can_fuse(model.optimizer, variables):
        return FusedOptimizer(model.optimizer, layout, n_folds)
    constraints = [variable.constraint for variable in variables]
    return FlatOptimizer(model.optimizer, layout, n_folds, constraints)
