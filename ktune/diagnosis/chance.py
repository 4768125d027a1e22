"""Whether a trial is better than a constant guess on rows it was not trained on."""

from collections.abc import Iterator

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis.out_of_fold import OutOfFold, read_out_of_fold
from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.view import TrialView

STANDARD_ERRORS = 2.5
_TINY = 1e-12


def beats_constant_guess(view: TrialView) -> bool:
    """Whether out-of-fold predictions are better than a constant guess, beyond noise.

    Model and guess are compared row by row: by the squared error of numbers; for
    classes and labels by the right answers, by the log loss, or by the recalls of the
    classes. One of them is enough, since uneven classes and class weights hide what a
    model has learned from the others.

    Raises:
        NotApplicable: The out-of-fold predictions were not kept.

    Source:
        The paired t-test over rows, one-sided at two and a half standard errors: the
        best epoch and trial were chosen by these very rows.
    """
    if view.context.task is Task.CUSTOM:
        raise NotApplicable("a custom task has a loss of its own, not one for each row")
    found = read_out_of_fold(view.result.out_of_fold)
    if view.context.task is Task.REGRESSION:
        return _is_positive(_errors_saved(found))
    if view.context.task is Task.MULTILABEL:
        return any(_is_positive(gain) for gain in _gains_of_labels(found))
    rows = _class_probabilities(found)
    return any(_is_positive(gain) for gain in _gains(found, rows)) or _has_recall(
        found, rows
    )


def _is_positive(gain: np.ndarray) -> bool:
    error = float(np.std(gain)) / np.sqrt(len(gain))
    return float(np.mean(gain)) > STANDARD_ERRORS * error


def _errors_saved(found: OutOfFold) -> np.ndarray:
    """Squared error of the mean of the other folds' targets minus the model's."""
    target = found.target.astype(np.float64).reshape(len(found.target), -1)
    prediction = found.prediction.reshape(target.shape)
    guess = _mean_of_other_folds(target, found.fold)
    spread = np.maximum(target.var(axis=0), _TINY)
    saved = (guess - target) ** 2 - (prediction - target) ** 2
    return np.asarray((saved / spread).mean(axis=1))


def _gains(found: OutOfFold, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Right answers and log likelihood beyond those of the shares of the classes."""
    target = found.target.astype(np.int64)
    shares = _mean_of_other_folds(np.eye(rows.shape[1])[target], found.fold)
    each = np.arange(len(target))
    is_right = (rows.argmax(axis=1) == target).astype(np.float64)
    yield is_right - (shares.argmax(axis=1) == target)
    yield _log(rows[each, target]) - _log(shares[each, target])


def _gains_of_labels(found: OutOfFold) -> Iterator[np.ndarray]:
    target = found.target.astype(np.float64)
    shares = _mean_of_other_folds(target, found.fold)
    for rows in (found.prediction, shares):
        if rows.shape != target.shape:
            return
    is_right = (found.prediction > 0.5) == (target > 0.5)
    is_guessed = (shares > 0.5) == (target > 0.5)
    yield (is_right.astype(np.float64) - is_guessed).mean(axis=1)
    yield (_likelihood(found.prediction, target) - _likelihood(shares, target)).mean(1)


def _has_recall(found: OutOfFold, rows: np.ndarray) -> bool:
    """Whether the mean recall of the classes is above that of a constant answer."""
    target, answer = found.target.astype(np.int64), rows.argmax(axis=1)
    parts = [answer[target == k] == k for k in np.unique(target)]
    mean = float(np.mean([np.mean(part) for part in parts]))
    # Two outcomes are added, so that a class of few rows is not taken for certain.
    shares = [(part.sum() + 1) / (len(part) + 2) for part in parts]
    variances = [p * (1 - p) / len(part) for p, part in zip(shares, parts, strict=True)]
    error = float(np.sqrt(np.sum(variances))) / len(parts)
    return mean - 1 / len(parts) > STANDARD_ERRORS * error


def _class_probabilities(found: OutOfFold) -> np.ndarray:
    if found.prediction.ndim == 2:
        return found.prediction
    return np.column_stack([1 - found.prediction, found.prediction])


def _mean_of_other_folds(target: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return for every row the mean target of the rows of all other folds."""
    result = np.empty_like(target)
    for number in np.unique(fold):
        is_here = fold == number
        others = target if is_here.all() else target[~is_here]
        result[is_here] = others.mean(axis=0)
    return result


def _likelihood(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    return _log(np.where(target > 0.5, rows, 1 - rows))


def _log(probability: np.ndarray) -> np.ndarray:
    # Rows are kept with three digits, so that 0 stands for anything below 1e-4.
    return np.log(np.clip(probability, 1e-4, 1))
