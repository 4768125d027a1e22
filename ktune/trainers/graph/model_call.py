"""A call of a Keras model as a pure function of its variables."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ktune.trainers.graph.family import open_numbers
from ktune.trainers.graph.flat_optimizer import stateless_scope
from ktune.trainers.graph.limits import NotForGraph


class ModelCall:
    """Runs a model and its loss on rows, with the variables as arguments.

    Args:
        model: A compiled, built Keras model; the call owns it.
        serves_family: Whether the numbers that layers hold are arguments too.
    """

    def __init__(self, model: Any, *, serves_family: bool) -> None:
        self._model = model
        self._serves_family = serves_family
        self._numbers = open_numbers(model) if serves_family else []
        variables = [*model.variables, *self._numbers]
        self._known = {id(variable) for variable in variables}

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
        x = tf.nest.map_structure(lambda part: tf.gather(part, rows), features)
        y = tf.gather(targets, rows)
        sample_weight = None if row_weights is None else tf.gather(row_weights, rows)
        mapping = [
            *zip(model.trainable_variables, weights, strict=True),
            *zip(model.non_trainable_variables, rest, strict=True),
            *zip(self._numbers, tf.unstack(numbers), strict=True),
        ]
        with stateless_scope(mapping, collect_losses=True) as scope:
            outputs = model(x, training=is_training)
            if self._serves_family:
                # Weights of open shape leave the last axis unknown, and losses
                # compare it with the targets.
                outputs.set_shape([None, *model.output_shape[1:]])
            loss = model.compute_loss(
                x=x, y=y, y_pred=outputs, sample_weight=sample_weight
            )
        self._require_known(scope)
        values = [scope.get_current_value(v) for v in model.non_trainable_variables]
        return outputs, loss, values

    def _require_known(self, scope: Any) -> None:
        """Refuse a model that changes variables outside the model."""
        if set(scope.state_mapping) - self._known:
            raise NotForGraph(
                "a layer changes a variable that is not the model's, such as Keras's "
                "global random state"
            )
