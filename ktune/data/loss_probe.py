"""Find out from a few values of a loss function which targets and outputs it takes.

A loss of Keras says so by its name and ``from_logits``. A function of the user's own
may be called anything, so it is asked: the loss of outputs that are right must be below
that of outputs that are wrong, and outputs beyond 1 lower it only if they are logits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from ktune.data.compiled_loss import loss_object

MOST_CLASSES = 10
NEARLY = 1e-3
"""Right outputs are this far from certain: the logarithm of 0 is not a number."""

LARGE = (2.0, 3.0, 6.0)
"""Sizes of outputs that logits may have and probabilities may not."""

SATURATED = 12.0
CLEARLY = 0.05
"""Share of what right outputs gain on wrong ones that a further gain must have."""


class TargetForm(StrEnum):
    """How a loss wants the targets of classes."""

    CLASS_NUMBERS = "class numbers"
    ONE_HOT = "one-hot rows"


class LossScale(StrEnum):
    """On which scale a loss wants outputs."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    MARGINS = "margins"


@dataclass(frozen=True, eq=False)
class _Values:
    """Values of a loss at outputs of a given size, right and wrong."""

    loss: Callable[[np.ndarray], float]
    right: np.ndarray
    wrong: np.ndarray
    signed: np.ndarray
    """Outputs of size 1 in the direction of the targets, as logits have it."""

    def scale(self) -> LossScale | None:
        """Return the scale of the outputs; None: the values do not tell."""
        best, worst = self.loss(self.right), self.loss(self.wrong)
        spread = worst - best
        if np.isfinite(best) and not np.isfinite(spread):
            return LossScale.PROBABILITIES  # certain and wrong: the log of 0
        if not spread > 0:
            return None
        if not np.isfinite(self.loss(-6.0 * self.signed)):
            return LossScale.PROBABILITIES
        values = [self.loss(size * self.signed) for size in LARGE]
        lowest = min(values)
        if not np.isfinite(lowest) or best - lowest <= CLEARLY * spread:
            return LossScale.PROBABILITIES
        if values[-1] - self.loss(SATURATED * self.signed) > 0.1 * (best - lowest):
            return LossScale.PROBABILITIES  # falls without end, so it is cut elsewhere
        at_one = self.loss(self.signed)
        is_margin = at_one - lowest <= CLEARLY * spread
        return LossScale.MARGINS if is_margin else LossScale.LOGITS


def probe_target_form(loss: Any, n_classes: int) -> TargetForm | None:
    """Return which targets of classes a loss makes sense of; None: it does not tell.

    Args:
        loss: A function of targets and outputs, or an object of such a class.
        n_classes: Columns of the model's outputs, at least 2.
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
    """Return on which scale a loss wants outputs; None: it does not tell.

    Args:
        loss: A function of targets and outputs, or an object of such a class.
        n_columns: Of the model's outputs.
        form: Of the targets of exclusive classes; None: every column is a label of
            its own, 0 or 1.
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
    except Exception:  # whatever the user's function raises: it does not tell
        return None


def _targets(n_classes: int) -> dict[TargetForm, np.ndarray]:
    return {
        TargetForm.ONE_HOT: np.eye(n_classes, dtype=np.float32),
        TargetForm.CLASS_NUMBERS: np.arange(n_classes, dtype=np.int32),
    }


def _contrast(loss: Any, targets: np.ndarray, right: np.ndarray) -> float | None:
    """Return by how much the loss of wrong outputs exceeds that of right ones.

    None where it does not for every class, or the loss refuses such targets.
    """
    n_classes = len(right)
    differences = []
    try:
        for k in range(min(n_classes, MOST_CLASSES)):
            target = targets[k : k + 1]
            good = _value(loss, target, right[k : k + 1])
            bad = _value(loss, target, right[[(k + 1) % n_classes]])
            differences.append(bad - good)
    except Exception:  # whatever the user's function raises: not these targets
        return None
    lowest = min(differences)
    is_sensible = np.isfinite(lowest) and lowest > 1e-6
    return float(np.mean(differences)) if is_sensible else None


def _value(loss: Any, targets: np.ndarray, outputs: np.ndarray) -> float:
    import keras

    outputs = np.asarray(outputs, np.float32)
    value = loss_object(loss, targets, outputs)(targets, outputs)
    return float(np.mean(keras.ops.convert_to_numpy(value)))
