"""Out-of-fold predictions as arrays, and how well they are calibrated."""

import io
from dataclasses import dataclass

import numpy as np

from ktune.dataset import Task
from ktune.diagnosis.rule import NotApplicable

N_BINS = 10


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions of every row by the fold that did not train on it.

    Attributes:
        row: Positions among the rows of the search.
        fold: Which fold predicted the row.
        target: As in ``Dataset.y``.
        prediction: Probabilities (n,) or (n, k), or numbers.
    """

    row: np.ndarray
    fold: np.ndarray
    target: np.ndarray
    prediction: np.ndarray


@dataclass(frozen=True)
class Bin:
    """Rows the model was about equally sure of.

    Attributes:
        confidence: Mean probability of the predicted class.
        accuracy: How often it was right.
        n_rows: How many rows.
    """

    confidence: float
    accuracy: float
    n_rows: int


def read_out_of_fold(content: bytes) -> OutOfFold:
    """Unpack ``TrialResult.out_of_fold``.

    Raises:
        NotApplicable: There is nothing in it.
    """
    if not content:
        raise NotApplicable("the out-of-fold predictions were not read")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return OutOfFold(
            row=arrays["row"],
            fold=arrays["fold"],
            target=arrays["target"],
            prediction=arrays["prediction"].astype(np.float64),
        )


def reliability(out_of_fold: OutOfFold, task: Task) -> tuple[Bin, ...]:
    """Return bins of equally many rows, by the probability of the predicted class.

    Raises:
        NotApplicable: The task has no probability of one predicted class.
    """
    if not task.is_classification:
        raise NotApplicable(f"a {task.value} task has no probability of one class")
    confidence, is_right = _confidence(out_of_fold, task)
    order = np.argsort(confidence, kind="stable")
    return tuple(
        Bin(float(confidence[part].mean()), float(is_right[part].mean()), len(part))
        for part in np.array_split(order, min(N_BINS, len(order)))
        if len(part)
    )


def _confidence(out_of_fold: OutOfFold, task: Task) -> tuple[np.ndarray, np.ndarray]:
    prediction = out_of_fold.prediction
    if task is Task.BINARY:
        predicted = (prediction > 0.5).astype(np.int64)
        confidence = np.where(predicted == 1, prediction, 1 - prediction)
    else:
        prediction = prediction / np.maximum(
            prediction.sum(axis=1, keepdims=True), 1e-9
        )
        predicted, confidence = prediction.argmax(axis=1), prediction.max(axis=1)
    return confidence, predicted == out_of_fold.target
