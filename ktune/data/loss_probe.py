"""Infer the form of targets and outputs that a loss expects from a few of its values.

For a loss of Keras, its name and ``from_logits`` determine both. A user's own loss is
evaluated: the loss of right outputs must be below that of wrong outputs, and outputs
beyond 1 lower it only if they are logits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from ktune.data.compiled_loss import loss_object

MOST_CLASSES = 10
NEARLY = 1e-3
"""Distance of right outputs from 0 and 1, to avoid the logarithm of 0."""

LARGE = (2.0, 3.0, 6.0)
"""Sizes of outputs that are valid for logits, but not for probabilities."""

SATURATED = 12.0
CLEARLY = 0.05
"""Least relevant decrease of the loss, as a share of that from wrong to right."""


class TargetForm(StrEnum):
    """The form of the targets of classes that a loss expects."""

    CLASS_NUMBERS = "class numbers"
    ONE_HOT = "one-hot rows"


class LossScale(StrEnum):
    """The scale of the outputs that a loss expects."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    MARGINS = "margins"


@dataclass(frozen=True, eq=False)
class _Values:
    """A loss with targets, and right and wrong outputs to evaluate it at."""

    loss: Callable[[np.ndarray], float]
    right: np.ndarray
    wrong: np.ndarray
    signed: np.ndarray
    """Outputs of size 1 with the signs that right logits have."""

    def scale(self) -> LossScale | None:
        """Return the scale of the outputs; None: unknown."""
        best, worst = self.loss(self.right), self.loss(self.wrong)
        spread = worst - best
        if np.isfinite(best) and not np.isfinite(spread):
            return LossScale.PROBABILITIES  # logarithm of 0 at certain wrong outputs
        if not spread > 0:
            return None
        if not np.isfinite(self.loss(-6.0 * self.signed)):
            return LossScale.PROBABILITIES
        values = [self.loss(size * self.signed) for size in LARGE]
        lowest = min(values)
        if not np.isfinite(lowest) or best - lowest <= CLEARLY * spread:
            return LossScale.PROBABILITIES
        if values[-1] - self.loss(SATURATED * self.signed) > 0.1 * (best - lowest):
            return LossScale.PROBABILITIES  # unbounded beyond 1, so not for logits
        at_one = self.loss(self.signed)
        is_margin = at_one - lowest <= CLEARLY * spread
        return LossScale.MARGINS if is_margin else LossScale.LOGITS


def probe_target_form(loss: Any, n_classes: int) -> TargetForm | None:
    """Return the form of the targets of classes for a loss; None: unknown.

    Args:
        loss: A function of targets and outputs, or a loss object.
        n_classes: Number of columns of the outputs, at least 2.
    """
    right = np.full((n_classes, n_classes), 0.1 / max(n_classes - 1, 1), np.float32)
    np.fill_diagonal(right, 0.9)
    contrasts = {
        form: _contrast(loss, targets, right)
        for form, targets in _targets(n_classes).items()
    }
    known = {form: value for form, value in contrasts.items() if value is not None}
    return max(known, key=lambda form: known[form]) if known else None


def probe_scale(loss: Any, n_columns: int, form: TargetForm | None) -> LossScale | None:
    """Return the scale of the outputs for a loss; None: unknown.

    Args:
        loss: A function of targets and outputs, or a loss object.
        n_columns: Number of columns of the outputs.
        form: Form of the targets of exclusive classes; None: every column is a
            separate label, 0 or 1.
    """
    if form is None:
        targets = np.repeat(np.array([[0], [1]], np.float32), n_columns, axis=1)
        right = np.where(targets == 1, 1 - NEARLY, NEARLY)
        signed = 2 * targets - 1
    else:
        n_rows = min(n_columns, MOST_CLASSES)
        targets = _targets(n_columns)[form][:n_rows]
        signed = np.eye(n_columns, dtype=np.float32)[:n_rows]
        right = np.where(signed == 1, 1 - NEARLY, NEARLY / (n_columns - 1))
    wrong = np.roll(right, 1, axis=0)
    values = _Values(
        lambda outputs: _value(loss, targets, outputs), right, wrong, signed
    )
    try:
        return values.scale()
    except Exception:  # a user's own loss may raise any error for such outputs
        return None


def _targets(n_classes: int) -> dict[TargetForm, np.ndarray]:
    return {
        TargetForm.ONE_HOT: np.eye(n_classes, dtype=np.float32),
        TargetForm.CLASS_NUMBERS: np.arange(n_classes, dtype=np.int32),
    }


def _contrast(loss: Any, targets: np.ndarray, right: np.ndarray) -> float | None:
    """Return the difference between the loss of wrong and of right outputs.

    None if it is not positive for every class, or the loss rejects the targets.
    """
    n_classes = len(right)
    differences = []
    try:
        for k in range(min(n_classes, MOST_CLASSES)):
            target = targets[k : k + 1]
            good = _value(loss, target, right[k : k + 1])
            bad = _value(loss, target, right[[(k + 1) % n_classes]])
            differences.append(bad - good)
    except Exception:  # a user's own loss may raise any error for such targets
        return None
    lowest = min(differences)
    is_sensible = np.isfinite(lowest) and lowest > 1e-6
    return float(np.mean(differences)) if is_sensible else None


def _value(loss: Any, targets: np.ndarray, outputs: np.ndarray) -> float:
    import keras

    outputs = np.asarray(outputs, np.float32)
    value = loss_object(loss, targets, outputs)(targets, outputs)
    return float(np.mean(keras.ops.convert_to_numpy(value)))
