"""Out-of-fold predictions as arrays, and their reliability bins."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktune.data.dataset import Targets, Task
from ktune.data.nest import Nest
from ktune.diagnosis.rule import NotApplicable
from ktune.metrics.calibration import Bin, reliability_bins


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Prediction of every row by the model of the fold that did not train on it.

    Attributes:
        row: Positions among the rows of the search.
        fold: Index of the fold that predicted the row.
        target: As in ``Dataset.y``.
        prediction: Probabilities (n,) or (n, k), or numbers; of a custom task outputs
            for some of the rows.
    """

    row: np.ndarray
    fold: np.ndarray
    target: Targets
    prediction: Any


def read_out_of_fold(content: bytes) -> OutOfFold:
    """Unpack ``TrialResult.out_of_fold``.

    Raises:
        NotApplicable: The content is empty.
    """
    if not content:
        raise NotApplicable("the out-of-fold predictions were not read")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        prediction = _part(arrays, "prediction")
        return OutOfFold(
            row=arrays["row"],
            fold=arrays["fold"],
            target=_part(arrays, "target"),
            prediction=prediction.map(lambda part: part.astype(np.float64))
            if isinstance(prediction, Nest)
            else prediction.astype(np.float64),
        )


def _part(arrays: Mapping[str, np.ndarray], name: str) -> Any:
    """Return an array; of several outputs, a nest of arrays."""
    if name in arrays:
        return arrays[name]
    prefix = f"{name}/"
    return Nest(
        {n.removeprefix(prefix): arrays[n] for n in arrays if n.startswith(prefix)}
    )


def reliability(out_of_fold: OutOfFold, task: Task) -> tuple[Bin, ...]:
    """Return bins of equal size, by the probability of the predicted class.

    Raises:
        NotApplicable: The task has no probability of one predicted class.
    """
    if not task.is_classification:
        raise NotApplicable(f"a {task.value} task has no probability of one class")
    return reliability_bins(out_of_fold.target, out_of_fold.prediction, task)
