"""A call of a Keras model as a pure function of its variables."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from ktune.data.model_outputs import stable_names
from ktune.trainers.graph.family import open_numbers
from ktune.trainers.graph.flat_optimizer import stateless_scope
from ktune.trainers.graph.limits import NotForGraph


class ModelCall:
    """Runs a model and its loss on rows, with the variables as arguments.

    Args:
        model: A compiled, built Keras model; the call owns it.
        serves_family: Whether the numbers that layers hold are arguments too.
        scores_itself: Whether it computes its metrics, whose variables exist.

    Attributes:
        fresh_metrics: Values of the metrics' variables before the first batch.
    """

    def __init__(
        self, model: Any, *, serves_family: bool, scores_itself: bool = False
    ) -> None:
        self._model = model
        self._serves_family = serves_family
        self._numbers = open_numbers(model) if serves_family else []
        metrics = model.metrics_variables if scores_itself else ()
        self._metric_variables = list(metrics)
        variables = [*model.variables, *self._numbers, *self._metric_variables]
        self._known = {id(variable) for variable in variables}
        self.fresh_metrics = [variable.numpy() for variable in self._metric_variables]

    def __call__(
        self,
        weights: Sequence[Any],
        numbers: Any,
        rest: Sequence[Any],
        features: Any,
        targets: Any,
        row_weights: Any,
        rows: Any,
        *,
        is_training: bool,
    ) -> tuple[Any, Any, list[Any]]:
        """Run the model as ``train_step`` and ``test_step`` do (keras 3.15)."""
        model = self._model
        x, y, sample_weight = _at_rows(rows, features, targets, row_weights)
        mapping = self._mapping(weights, numbers, rest)
        mapping += self._unused_metrics()
        with stateless_scope(mapping, collect_losses=True) as scope:
            outputs = self._outputs(x, is_training=is_training)
            loss = model.compute_loss(
                x=x, y=y, y_pred=outputs, sample_weight=sample_weight
            )
        self._require_known(scope)
        values = [scope.get_current_value(v) for v in model.non_trainable_variables]
        return outputs, loss, values

    def update_metrics(
        self,
        weights: Sequence[Any],
        numbers: Any,
        rest: Sequence[Any],
        metrics: Sequence[Any],
        features: Any,
        targets: Any,
        row_weights: Any,
        rows: Any,
    ) -> list[Any]:
        """Return the metrics' variables after rows, as ``test_step`` updates them."""
        model = self._model
        x, y, sample_weight = _at_rows(rows, features, targets, row_weights)
        mapping = self._mapping(weights, numbers, rest)
        mapping += zip(self._metric_variables, metrics, strict=True)
        with stateless_scope(mapping, collect_losses=True) as scope:
            outputs = self._outputs(x, is_training=False)
            loss = model.compute_loss(
                x=x, y=y, y_pred=outputs, sample_weight=sample_weight, training=False
            )
            model._loss_tracker.update_state(loss, sample_weight=tf.shape(rows)[0])
            model.compute_metrics(x, y, outputs, sample_weight)
        self._require_known(scope)
        return [scope.get_current_value(v) for v in self._metric_variables]

    def results(self, metrics: Sequence[Any]) -> dict[str, Any]:
        """Return loss and metrics by their stable names."""
        mapping = list(zip(self._metric_variables, metrics, strict=True))
        with stateless_scope(mapping):
            logs = self._model.get_metrics_result()
        names = stable_names(self._model, list(logs))
        return {
            names[name]: tf.reduce_mean(tf.cast(value, tf.float32))
            for name, value in logs.items()
        }

    def _mapping(self, weights: Any, numbers: Any, rest: Any) -> list[Any]:
        model = self._model
        return [
            *zip(model.trainable_variables, weights, strict=True),
            *zip(model.non_trainable_variables, rest, strict=True),
            *zip(self._numbers, tf.unstack(numbers), strict=True),
        ]

    def _unused_metrics(self) -> list[Any]:
        """Return values for the trackers that a loss of several outputs updates."""
        values = [tf.constant(value) for value in self.fresh_metrics]
        return list(zip(self._metric_variables, values, strict=True))

    def _outputs(self, x: Any, *, is_training: bool) -> Any:
        model = self._model
        outputs = model(x, training=is_training)
        if self._serves_family:
            # Weights of open shape leave the last axis unknown, and losses compare it
            # with the targets.
            parts = zip(keras.tree.flatten(outputs), model.outputs, strict=True)
            for tensor, known in parts:
                tensor.set_shape([None, *known.shape[1:]])
        return outputs

    def _require_known(self, scope: Any) -> None:
        """Refuse a model that changes variables outside the model."""
        if set(scope.state_mapping) - self._known:
            raise NotForGraph(
                "a layer changes a variable that is not the model's, such as Keras's "
                "global random state"
            )


def _at_rows(rows: Any, features: Any, targets: Any, row_weights: Any) -> Any:
    """Return features, targets and weights of some rows."""

    def gather(part: Any) -> Any:
        return tf.gather(part, rows)

    x = tf.nest.map_structure(gather, features)
    y = tf.nest.map_structure(gather, targets)
    return x, y, None if row_weights is None else gather(row_weights)
