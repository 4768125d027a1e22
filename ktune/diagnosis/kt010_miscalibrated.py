"""KT010: the probabilities of the model are miscalibrated."""

from typing import ClassVar

import numpy as np

from ktune.diagnosis.out_of_fold import read_out_of_fold, reliability
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, finding
from ktune.diagnosis.view import TrialView, require_scores
from ktune.metrics.calibration import Bin, calibration_error

LEAST_ROWS = 100
PRACTICAL = 0.05
TIMES_NOISE = 2.0


class Miscalibrated:
    """Of the rows predicted with 90 %, far fewer (or more) than 90 % are right.

    Threshold:
        The expected calibration error over ten equally sized bins of out-of-fold rows
        is at least 0.05 and twice the error expected of a perfectly calibrated model
        with these probabilities on this number of rows.

    Evidence:
        The error, its expectation by chance, mean confidence and accuracy.

    Source:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv
        1706.04599. Chance level: Bröcker & Smith, Weather and Forecasting 22 (2007).
    """

    code: ClassVar[str] = "KT010"
    title: ClassVar[str] = "Miscalibrated"
    severity: ClassVar[Severity] = Severity.WARNING

    def check(self, view: TrialView) -> Finding | None:
        """Compare confidence with accuracy, bin by bin."""
        require_scores(view)
        if not view.context.task.is_classification:
            raise NotApplicable("only probabilities of classes can be miscalibrated")
        out_of_fold = read_out_of_fold(view.result.out_of_fold)
        if len(out_of_fold.row) < LEAST_ROWS:
            raise NotApplicable(f"it needs at least {LEAST_ROWS} out-of-fold rows")
        bins = reliability(out_of_fold, view.context.task)
        error, expected = calibration_error(bins), chance_calibration_error(bins)
        if error < max(PRACTICAL, TIMES_NOISE * expected):
            return None
        return self._finding(bins, error, expected)

    def _finding(self, bins: tuple[Bin, ...], error: float, expected: float) -> Finding:
        weights = np.array([b.n_rows for b in bins], dtype=np.float64)
        confidence = float(np.average([b.confidence for b in bins], weights=weights))
        accuracy = float(np.average([b.accuracy for b in bins], weights=weights))
        how = "overconfident" if confidence > accuracy else "underconfident"
        message = (
            f"The expected calibration error is {error:.3f} (chance explains "
            f"{expected:.3f}): mean confidence {confidence:.3f}, accuracy "
            f"{accuracy:.3f}, so the model is {how}."
        )
        remedy = (
            "Choose the epoch by loss (`--objective log_loss`), train for fewer "
            "epochs, or use label smoothing, dropout or weight decay. Until then do "
            "not use the outputs as probabilities."
            if confidence > accuracy
            else "Train longer or with less label smoothing, dropout or weight decay."
        )
        return finding(
            self,
            message,
            remedy,
            calibration_error=error,
            by_chance=expected,
            confidence=confidence,
            accuracy=accuracy,
        )


def chance_calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected error of a calibrated model: mean absolute binomial error."""
    errors = [
        np.sqrt(2 / np.pi * b.confidence * (1 - b.confidence) / b.n_rows) for b in bins
    ]
    return float(np.average(errors, weights=[b.n_rows for b in bins]))
