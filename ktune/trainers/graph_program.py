"""One epoch of training and scoring, for several folds, as one TensorFlow function.

A program is pure: state goes in, new state comes out, and data, batch order and
learning rate are arguments. Nothing of a trial stays behind in it, which is why one
program serves any number of trials whose models have the same structure.

In the code, *weights* is the matrix of all trainable weights, one row a fold; *rest* is
what a fold's model has besides: the state of random generators, moving averages.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ktune.trainers.flat_optimizer import LANES, FlatOptimizer
from ktune.trainers.graph_limits import NotForGraph

SCORING_CHUNK = 512
"""Rows scored at a time, so that activations of a whole fold are never held at once."""


@dataclass(frozen=True, eq=False)
class State:
    """Everything training changes.

    Attributes:
        weights: Shape (n_folds, n_weights), float32.
        optimizer: State of the optimizer.
        rest: For each fold, the values of the model's other variables.
    """

    weights: Any
    optimizer: list[Any]
    rest: list[list[Any]]


@dataclass(frozen=True, eq=False)
class Batches:
    """The order of one epoch, for folds side by side.

    Every fold goes through its full batches, then its partial one, in the same kinds
    of step whatever the other folds' sizes are: a partial batch takes operations of
    open shape, whose last bit may differ from those of fixed shape.

    Attributes:
        full: Row positions of the batches all folds have, shape
            (n_steps, n_folds, batch_size), int32.
        uneven: Further full batches, which only some folds have, likewise.
        uneven_counts: ``batch_size``, or 0 where the fold has no such batch; shape
            (n_uneven_steps, n_folds), int32.
        partial: The last batch of each fold, padded; n_partial_steps is 0 or 1.
        partial_counts: How many of its rows are real, 0 when there is none.
    """

    full: np.ndarray
    uneven: np.ndarray
    uneven_counts: np.ndarray
    partial: np.ndarray
    partial_counts: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order a program takes them."""
        uneven = (self.uneven, self.uneven_counts)
        return (self.full, *uneven, self.partial, self.partial_counts)


def make_batches(orders: Sequence[np.ndarray], batch_size: int) -> Batches:
    """Cut the order of each fold into batches."""
    sizes = np.array([len(order) for order in orders])
    n_full, n_partial = sizes // batch_size, sizes % batch_size
    n_most, n_common = n_full.max(), n_full.min()
    rows = np.zeros((len(orders), n_most * batch_size), np.int32)
    partial = np.zeros((1, len(orders), batch_size), np.int32)
    for fold, order in enumerate(orders):
        end = n_full[fold] * batch_size
        rows[fold, :end] = order[:end]
        partial[0, fold, : n_partial[fold]] = order[end:]
    steps = rows.reshape(len(orders), n_most, batch_size).transpose(1, 0, 2)
    n_partial_steps = int(n_partial.any())
    is_real = np.arange(n_common, n_most)[:, None] < n_full
    return Batches(
        full=steps[:n_common],
        uneven=steps[n_common:],
        uneven_counts=(is_real * batch_size).astype(np.int32),
        partial=partial[:n_partial_steps],
        partial_counts=n_partial[None, :].astype(np.int32)[:n_partial_steps],
    )


class EpochProgram:
    """A model's training, compiled.

    Args:
        model: A compiled, built Keras model. The program takes it over, optimizer
            included: its own variables are never read or written.
        n_folds: How many folds go side by side.
        is_uneven: Whether some have more full batches than others.
        is_light: Whether a step takes so little arithmetic that TensorFlow's graph
            optimizer costs more than it gains.
    """

    def __init__(
        self, model: Any, *, n_folds: int, is_uneven: bool, is_light: bool
    ) -> None:
        self._model = model
        self._is_uneven = is_uneven
        self._is_light = is_light
        self._shapes = [tuple(v.shape) for v in model.trainable_variables]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        self._n_padding = -sum(self._sizes) % LANES
        self._known = {id(variable) for variable in model.variables}
        self._optimizer = FlatOptimizer(
            model.optimizer,
            n_folds=n_folds,
            n_weights=sum(self._sizes) + self._n_padding,
        )
        self._n_folds = n_folds
        # Traced once each and called for every fold. Not inlined, they are also
        # optimised once: the first trial of a structure starts twice as soon, and
        # steps take no longer.
        self._gradient = _function(self._trace_gradient, _noinline=True)
        self._score = _function(self._trace_scores, _noinline=True)
        self._update = _function(self._optimizer.update)
        self._compiled: Any = None

    @property
    def has_schedule(self) -> bool:
        """Whether the learning rate follows the optimizer's own schedule."""
        return self._optimizer.has_schedule

    def initial_state(self, weights: np.ndarray, rest: list[list[Any]]) -> State:
        """Return the state before the first step.

        Args:
            weights: Shape (n_folds, n_weights).
            rest: For each fold, the values of ``non_trainable_variables``.
        """
        return State(
            tf.constant(np.pad(weights, ((0, 0), (0, self._n_padding)))),
            self._optimizer.initial_state(),
            [[tf.convert_to_tensor(value) for value in values] for values in rest],
        )

    def compile(
        self,
        state: State,
        learning_rates: Sequence[float],
        data: tuple[Any, ...],
        batches: Batches,
        scored: Sequence[tuple[Any, Any]] | None,
    ) -> None:
        """Trace the program for arguments like these, unless it is done already.

        Args as `run_epoch`; numbers of rows and steps may differ later.

        Raises:
            NotForGraph: The model does something a graph cannot hold.
        """
        if self._compiled is not None:
            return
        trace = self._trace_train if scored is None else self._trace_all
        function = _function(trace)
        arguments = self._arguments(state, learning_rates, data, batches, scored)
        compiled = function.get_concrete_function(*_specs(arguments))
        if any(t.dtype == tf.resource for t in compiled.captured_inputs):
            raise NotForGraph("a layer keeps state outside of Keras variables")
        self._compiled = compiled

    def run_epoch(
        self,
        state: State,
        learning_rates: Sequence[float],
        data: tuple[Any, ...],
        batches: Batches,
        scored: Sequence[tuple[Any, Any]] | None,
    ) -> tuple[State, np.ndarray, list[Any]]:
        """Train all folds one epoch, then score them.

        Args:
            state: Where they stand.
            learning_rates: One a fold.
            data: Features, targets and row weights, each a list with one entry a
                fold; row weights may be empty.
            batches: What to train on.
            scored: For each fold, two lots of rows; None: do not score.

        Returns:
            The new state; the mean training loss, shape (n_folds,); and for each
            fold and lot the outputs and the mean loss.
        """
        arguments = self._arguments(state, learning_rates, data, batches, scored)
        with _graph_optimizer(is_on=not self._is_light):
            new_state, losses, *scores = self._compiled(*arguments)
        return State(*new_state), losses.numpy(), scores[0] if scores else []

    def _arguments(
        self,
        state: State,
        learning_rates: Sequence[float],
        data: tuple[Any, ...],
        batches: Batches,
        scored: Sequence[tuple[Any, Any]] | None,
    ) -> tuple[Any, ...]:
        arguments = (
            (state.weights, state.optimizer, state.rest),
            tf.constant(self._optimizer.learning_rates(learning_rates)),
            data,
            tuple(tf.constant(part) for part in batches.arrays),
        )
        return arguments if scored is None else (*arguments, scored)

    def split(self, weights: Any) -> list[Any]:
        """Cut the flat weights of one fold into the model's tensors."""
        parts = tf.split(weights, [*self._sizes, self._n_padding])
        return [
            tf.reshape(part, shape)
            for part, shape in zip(parts, self._shapes, strict=False)
        ]

    def _join(self, parts: Sequence[Any]) -> Any:
        """Lay tensors shaped like the model's weights out flat; undoes `split`."""
        padding = tf.zeros(self._n_padding)
        return tf.concat([*(tf.reshape(part, [-1]) for part in parts), padding], 0)

    def _trace_all(
        self, state: Any, rates: Any, data: Any, batches: Any, scored: Any
    ) -> tuple[Any, Any, Any]:
        state, losses = self._trace_train(state, rates, data, batches)
        weights, _, rest = state
        features, targets, _ = data
        folds = zip(tf.unstack(weights), rest, features, targets, strict=True)
        scores = [
            [self._score(*fold, rows) for rows in lots]
            for fold, lots in zip(folds, scored, strict=True)
        ]
        return state, losses, scores

    def _trace_train(
        self, state: Any, rates: Any, data: Any, batches: Any
    ) -> tuple[Any, Any]:
        full, uneven, uneven_counts, partial, partial_counts = batches
        batch_size = full.shape[-1]

        def full_step(i: Any, state: Any, sums: Any) -> Any:
            state, losses = self._step(state, rates, data, _at(full, i), None)
            return i + 1, state, sums + losses * float(batch_size)

        def uneven_step(i: Any, state: Any, sums: Any) -> Any:
            counts = tf.gather(uneven_counts, i)
            state, losses = self._step(state, rates, data, _at(uneven, i), counts)
            return i + 1, state, sums + losses * tf.cast(counts, tf.float32)

        def partial_step(i: Any, state: Any, sums: Any) -> Any:
            counts = tf.gather(partial_counts, i)
            # A fold without rows computes one for nothing: some convolutions abort
            # the process when given none (TensorFlow 2.21, CPU).
            ends = tf.unstack(tf.maximum(counts, 1))
            pairs = zip(_at(partial, i), ends, strict=True)
            rows = [row[:end] for row, end in pairs]
            state, losses = self._step(state, rates, data, rows, counts)
            return i + 1, state, sums + losses * tf.cast(counts, tf.float32)

        carried = (state, tf.zeros(self._n_folds))
        carried = _repeat(full_step, tf.shape(full)[0], carried)
        if self._is_uneven:
            carried = _repeat(uneven_step, tf.shape(uneven)[0], carried)
        state, sums = _repeat(partial_step, tf.shape(partial)[0], carried)
        n_rows = tf.shape(full)[0] * batch_size + sum(
            tf.reduce_sum(counts, axis=0) for counts in (uneven_counts, partial_counts)
        )
        return state, sums / tf.cast(n_rows, tf.float32)

    def _step(
        self, state: Any, rates: Any, data: Any, rows: Sequence[Any], counts: Any
    ) -> tuple[Any, Any]:
        """Make one step in every fold that has rows left."""
        weights, optimizer_state, rest = state
        losses, gradients, new_rest = [], [], []
        folds = zip(tf.unstack(weights), rest, *_by_fold(data), rows, strict=True)
        for fold in folds:
            loss, gradient, values = self._gradient(*fold)
            losses.append(loss)
            gradients.append(gradient)
            new_rest.append(values)
        new_weights, new_optimizer_state = self._update(
            weights, optimizer_state, tf.stack(gradients), rates
        )
        new = (self._constrained(new_weights), new_optimizer_state, new_rest)
        return _where_any(counts, new, state), tf.stack(losses)

    def _trace_gradient(
        self,
        weights: Any,
        rest: Any,
        features: Any,
        targets: Any,
        row_weights: Any,
        rows: Any,
    ) -> tuple[Any, Any, list[Any]]:
        """Return loss, flat gradient and new rest of one fold at one batch."""
        parts = self.split(weights)
        with tf.GradientTape() as tape:
            tape.watch(parts)
            _, loss, rest = self._call(
                parts, rest, features, targets, row_weights, rows, is_training=True
            )
        gradients = tape.gradient(loss, parts)
        if any(gradient is None for gradient in gradients):
            # Keras leaves such weights alone, even from weight decay and momentum.
            raise NotForGraph("some weights do not take part in the loss")
        clipped = self._optimizer.clip([tf.convert_to_tensor(g) for g in gradients])
        return loss, self._join(clipped), rest

    def _trace_scores(
        self, weights: Any, rest: Any, features: Any, targets: Any, rows: Any
    ) -> tuple[Any, Any]:
        """Return outputs and mean loss over rows, chunk by chunk."""
        n_rows = tf.shape(rows)[0]
        n_chunks = -(-n_rows // SCORING_CHUNK)
        outputs = tf.TensorArray(
            self._model.compute_dtype, n_chunks, infer_shape=False, element_shape=None
        )

        def chunk(i: Any, outputs: Any, total: Any) -> Any:
            part = rows[i * SCORING_CHUNK : (i + 1) * SCORING_CHUNK]
            output, loss = self._score_chunk(weights, rest, features, targets, part)
            count = tf.cast(tf.shape(part)[0], tf.float32)
            return i + 1, outputs.write(i, output), total + loss * count

        _, outputs, total = tf.while_loop(
            lambda i, *_: i < n_chunks,
            chunk,
            (0, outputs, 0.0),
        )
        return outputs.concat(), total / tf.cast(n_rows, tf.float32)

    def _score_chunk(
        self, weights: Any, rest: Any, features: Any, targets: Any, rows: Any
    ) -> tuple[Any, Any]:
        outputs, loss, _ = self._call(
            self.split(weights), rest, features, targets, None, rows, is_training=False
        )
        return outputs, loss

    def _call(
        self,
        weights: Sequence[Any],
        rest: Sequence[Any],
        features: Any,
        targets: Any,
        row_weights: Any,
        rows: Any,
        *,
        is_training: bool,
    ) -> tuple[Any, Any, list[Any]]:
        """Run the model as ``train_step`` and ``test_step`` do (keras 3.15)."""
        import keras

        model = self._model
        x = tf.nest.map_structure(lambda part: tf.gather(part, rows), features)
        y = tf.gather(targets, rows)
        sample_weight = None if row_weights is None else tf.gather(row_weights, rows)
        mapping = [
            *zip(model.trainable_variables, weights, strict=True),
            *zip(model.non_trainable_variables, rest, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            outputs = model(x, training=is_training)
            loss = model.compute_loss(
                x=x, y=y, y_pred=outputs, sample_weight=sample_weight
            )
        self._require_known(scope)
        values = [scope.get_current_value(v) for v in model.non_trainable_variables]
        return outputs, loss, values

    def _constrained(self, weights: Any) -> Any:
        """Apply the constraints of weights, such as ``MaxNorm``."""
        constraints = [v.constraint for v in self._model.trainable_variables]
        if not any(constraints):
            return weights
        rows = []
        for fold in range(self._n_folds):
            parts = [
                part if constraint is None else constraint(part)
                for part, constraint in zip(
                    self.split(weights[fold]), constraints, strict=True
                )
            ]
            rows.append(self._join(parts))
        return tf.stack(rows)

    def _require_known(self, scope: Any) -> None:
        """Refuse a model that changes variables which are not its own."""
        if set(scope.state_mapping) - self._known:
            raise NotForGraph(
                "a layer changes a variable that is not the model's, such as Keras's "
                "global random state"
            )


def _specs(arguments: tuple[Any, ...]) -> list[Any]:
    """Describe arguments, leaving the number of rows and of steps open."""

    def exact(tensor: Any) -> Any:
        return tf.TensorSpec(tensor.shape, tensor.dtype)

    def open_ended(tensor: Any) -> Any:
        return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)

    state, rates, *others = arguments
    return [
        tf.nest.map_structure(exact, state),
        exact(rates),
        *(tf.nest.map_structure(open_ended, part) for part in others),
    ]


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


@contextlib.contextmanager
def _graph_optimizer(*, is_on: bool) -> Iterator[None]:
    """Switch TensorFlow's graph optimizer off for a call.

    It rewrites a graph when it is first called. For a small model that took 1.2 s and
    made steps no faster than they are after 0.4 s without it.
    """
    if is_on:
        yield
        return
    options = tf.config.optimizer
    before = options.get_experimental_options().get("disable_meta_optimizer", False)
    options.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        options.set_experimental_options({"disable_meta_optimizer": before})


def _repeat(step: Any, n_steps: Any, carried: Any) -> Any:
    """Run ``step(i, *carried)`` so many times."""
    result = tf.while_loop(lambda i, *_: i < n_steps, step, (0, *carried))
    return result[1:]


def _where_any(counts: Any, new: Any, old: Any) -> Any:
    """Keep the old state of folds that had no rows."""
    if counts is None:
        return new
    is_active = counts > 0

    def stacked(new: Any, old: Any) -> Any:
        return tf.where(
            tf.reshape(is_active, [-1] + [1] * (len(new.shape) - 1)), new, old
        )

    def by_fold(k: int) -> list[Any]:
        pairs = zip(new[2][k], old[2][k], strict=True)
        return [tf.where(is_active[k], a, b) for a, b in pairs]

    return (
        stacked(new[0], old[0]),
        [
            stacked(a, b) if len(a.shape) else tf.where(is_active[0], a, b)
            for a, b in zip(new[1], old[1], strict=True)
        ],
        [by_fold(k) for k in range(len(new[2]))],
    )
