"""KT001: the trial fits its training rows much better than rows it has not seen."""

from typing import ClassVar

import numpy as np

from ktune.diagnosis.measures import Gap, has_learned, measure_gap, percent
from ktune.diagnosis.remedies import regularise
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, Verdict, finding
from ktune.diagnosis.turning_point import TurningPoint, find_turning_point
from ktune.diagnosis.view import TrialView

STANDARD_ERRORS = 2.0
CERTAIN_SHARE = 0.25
CONFIRMED = 0.6
MEMORISED = 0.3
KEPT_SHARE = 0.5


class Overfitting:
    """A gap between training and validation beyond noise and beyond a practical size.

    Threshold:
        At the best epoch the median gap over folds is at least the practical size
        (see `Yardstick.practical`: 0.15 for accuracy, 0.25 for R²), and a quarter of
        it is left when two standard errors are taken off. Where validation loss turns
        up as well (KT002), two signs agree: six tenths of that size and one standard
        error do. Or early stopping has hidden it: training goes on to a score at
        least 0.3 of the way from chance to perfect above the best validation score,
        which gets less than half as far, while validation loss turns up; where it
        does not, 0.6 and a quarter.

    Evidence:
        Both scores, the gap, its standard error, the number of folds.

    Source:
        Goodfellow, Bengio & Courville, Deep Learning (2016), section 5.2. Standard
        error: Nadeau & Bengio, Machine Learning 52 (2003).
    """

    code: ClassVar[str] = "KT001"
    title: ClassVar[str] = "Overfitting"
    severity: ClassVar[Severity] = Severity.PROBLEM

    def check(self, view: TrialView) -> Finding | None:
        """Compare training with validation at the best epoch, then at the last."""
        gap = measure_gap(view)
        if not has_learned(view):
            return None
        turn = _turning_point(view)
        if _is_beyond(gap, is_confirmed=turn is not None):
            return self._gap_finding(view, gap)
        return self._hidden_by_early_stopping(view, gap, turn)

    def _gap_finding(self, view: TrialView, gap: Gap) -> Finding:
        train, validation = float(gap.train.mean()), float(gap.validation.mean())
        message = (
            f"{gap.yardstick.metric} is {train:.3f} on training rows but "
            f"{validation:.3f} on validation rows: a gap of {gap.typical:.3f} (median "
            f"of {len(gap.train)} folds, standard error {gap.error:.3f})."
        )
        return finding(
            self,
            message,
            regularise(view),
            verdict=Verdict.OVERFIT,
            train=train,
            validation=validation,
            gap=gap.typical,
            standard_error=gap.error,
        )

    def _hidden_by_early_stopping(
        self, view: TrialView, gap: Gap, turn: TurningPoint | None
    ) -> Finding | None:
        last = _gap_at_last_epoch(view, gap)
        if last is None:
            return None
        reached, kept = last.train_skill, max(gap.validation_skill, 0.0)
        # Without the sign of a rising loss the case must be twice as clear.
        factor = 1 if turn is not None else 2
        is_far = reached - kept >= factor * MEMORISED
        if not is_far or kept >= KEPT_SHARE / factor * reached:
            return None
        if not _is_beyond(last, is_confirmed=turn is not None):
            return None
        metric, train = gap.yardstick.metric, float(last.train.mean())
        rises = ""
        if turn is not None:
            rises = f", and validation loss rises after epoch {turn.epoch + 1}"
        message = (
            f"Training goes on to {metric} {train:.3f} while validation never gets "
            f"beyond {gap.validation.mean():.3f}{rises}: the model learns its training "
            f"rows by heart. Early stopping kept {percent(kept)} of the way from "
            "chance to perfect."
        )
        return finding(
            self,
            message,
            regularise(view),
            verdict=Verdict.OVERFIT,
            train=train,
            validation=float(gap.validation.mean()),
        )


def _is_beyond(gap: Gap, *, is_confirmed: bool) -> bool:
    """Whether a gap is beyond noise and beyond a practical size."""
    practical = gap.yardstick.practical * (CONFIRMED if is_confirmed else 1.0)
    errors = 1.0 if is_confirmed else STANDARD_ERRORS
    certain = gap.at_least(errors)
    return gap.typical >= practical and certain >= CERTAIN_SHARE * practical


def _turning_point(view: TrialView) -> TurningPoint | None:
    try:
        return find_turning_point(view)
    except NotApplicable:
        return None


def _gap_at_last_epoch(view: TrialView, gap: Gap) -> Gap | None:
    """Return the gap after the last epoch; None when no such curves were kept."""
    metric = gap.yardstick.metric
    train, validation = view.curve(f"train_{metric}"), view.curve(f"val_{metric}")
    if train is None or validation is None or len(train) != len(gap.train):
        return None
    if not (np.isfinite(train[:, -1]).all() and np.isfinite(validation[:, -1]).all()):
        return None
    return Gap(
        gap.yardstick, train[:, -1], validation[:, -1], gap.noise, gap.test_share
    )
