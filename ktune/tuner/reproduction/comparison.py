"""Compare the numbers of two runs of the same trial."""

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ktune.trial import TrialResult


class Sameness(StrEnum):
    """Agreement of two numbers, or of two sets of numbers."""

    IDENTICAL = "identical"
    CLOSE = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True)
class RunComparison:
    """One quantity of the recorded and the new run.

    Attributes:
        name: Name of the metric or other quantity.
        recorded: Its recorded value; the fold mean of a metric. None if a single
            number is not informative.
        again: Its new value.
        largest: Largest difference of all its numbers (folds, epochs, rows).
        sameness: Agreement of all its numbers.
    """

    name: str
    recorded: float | None
    again: float | None
    largest: float
    sameness: Sameness


def overall(comparisons: Iterable[RunComparison]) -> Sameness:
    """Return the least sameness of several comparisons.

    Example:
        >>> same = RunComparison("accuracy", 0.9, 0.9, 0.0, Sameness.IDENTICAL)
        >>> str(overall([same]))
        'identical'
    """
    order = list(Sameness)
    found = [comparison.sameness for comparison in comparisons]
    return max(found, key=order.index, default=Sameness.DIFFERENT)


def compare_results(
    recorded: TrialResult, again: TrialResult, *, tolerance: float
) -> list[RunComparison]:
    """Compare two results of a trial: state, folds, curves, out-of-fold predictions.

    Args:
        recorded: The recorded result, including ``out_of_fold``.
        again: The new result.
        tolerance: Largest difference "within tolerance"; relative to the recorded
            value if that exceeds one.
    """
    if recorded.state is not again.state or recorded.failure or again.failure:
        return [_compare_endings(recorded, again)]
    return [
        *_compare_metrics(recorded, again, tolerance),
        *_compare_counts(recorded, again),
        _compare_curves(recorded, again, tolerance),
        *_compare_predictions(recorded.out_of_fold, again.out_of_fold, tolerance),
    ]


def compare_numbers(
    name: str,
    recorded: Iterable[float],
    again: Iterable[float],
    *,
    tolerance: float,
    shows_mean: bool = True,
) -> RunComparison:
    """Compare numbers one by one.

    Args:
        name: Name of the quantity.
        recorded: The recorded numbers.
        again: The new numbers in the same order.
        tolerance: See `compare_results`.
        shows_mean: Whether their mean is informative.
    """
    old, new = np.asarray([*recorded], float), np.asarray([*again], float)
    largest, sameness = _judge(old, new, tolerance)
    means = [float(n.mean()) if shows_mean and n.size else None for n in (old, new)]
    return RunComparison(name, means[0], means[1], largest, sameness)


def _judge(
    old: np.ndarray, new: np.ndarray, tolerance: float
) -> tuple[float, Sameness]:
    """Return the largest difference and the agreement; NaN equals NaN."""
    if old.shape != new.shape:
        return math.inf, Sameness.DIFFERENT
    if np.array_equal(old, new, equal_nan=True):
        return 0.0, Sameness.IDENTICAL
    differences = np.where(np.isnan(old) & np.isnan(new), 0.0, np.abs(new - old))
    largest = float(np.max(differences))
    allowed = tolerance * np.maximum(1.0, np.abs(old))
    # Not `all(differences <= allowed)` of NaN, which is False, as it should be.
    is_close = bool(np.all((differences <= allowed) | (differences == 0)))
    return largest, Sameness.CLOSE if is_close else Sameness.DIFFERENT


def _compare_endings(recorded: TrialResult, again: TrialResult) -> RunComparison:
    def ending(result: TrialResult) -> tuple[str, str]:
        failure = result.failure
        return result.state, "" if failure is None else failure.reason

    is_same = ending(recorded) == ending(again)
    told = " → ".join(
        dict.fromkeys(": ".join(filter(None, ending(r))) for r in (recorded, again))
    )
    sameness = Sameness.IDENTICAL if is_same else Sameness.DIFFERENT
    return RunComparison(f"ending ({told})", None, None, 0.0, sameness)


def _compare_metrics(
    recorded: TrialResult, again: TrialResult, tolerance: float
) -> Iterator[RunComparison]:
    if not recorded.folds:
        return
    for side, short in (("validation", "val"), ("train", "train")):
        for metric in getattr(recorded.folds[0], side):
            yield compare_numbers(
                f"{short}_{metric}",
                [getattr(fold, side)[metric] for fold in recorded.folds],
                [getattr(f, side).get(metric, math.nan) for f in again.folds],
                tolerance=tolerance,
            )


def _compare_counts(
    recorded: TrialResult, again: TrialResult
) -> Iterator[RunComparison]:
    for name in ("epochs", "best_epoch", "n_parameters"):
        old, new = getattr(recorded, name), getattr(again, name)
        if old is None or new is None:
            continue
        # Another best epoch alone is no difference, as the metrics show its effect;
        # another model is.
        otherwise = Sameness.DIFFERENT if name == "n_parameters" else Sameness.CLOSE
        sameness = Sameness.IDENTICAL if old == new else otherwise
        yield RunComparison(name, old, new, abs(new - old), sameness)


def _compare_curves(
    recorded: TrialResult, again: TrialResult, tolerance: float
) -> RunComparison:
    """Compare the curves of all folds over their common epochs."""

    def points(curves: Mapping[str, tuple[tuple[float, ...], ...]]) -> list[float]:
        return [
            value
            for name in recorded.curves
            for fold in curves.get(name, ())
            for value in fold[:epochs]
        ]

    epochs = min(recorded.epochs, again.epochs)
    old, new = points(recorded.curves), points(again.curves)
    return compare_numbers(
        "learning curves", old, new, tolerance=tolerance, shows_mean=False
    )


def _compare_predictions(
    recorded: bytes, again: bytes, tolerance: float
) -> Iterator[RunComparison]:
    if not recorded or not again:
        return
    old, new = map(_predictions, (recorded, again))
    yield compare_numbers(
        "out-of-fold predictions", old, new, tolerance=tolerance, shows_mean=False
    )


def _predictions(content: bytes) -> np.ndarray:
    """Return all predictions; of a custom task there is an array for each output."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        names = [name for name in file.files if name.partition("/")[0] == "prediction"]
        return np.concatenate([file[name].ravel() for name in names])
