"""KT001: the trial fits its training rows much better than validation rows."""

from typing import ClassVar

from ktune.diagnosis.gap import Gap, gap_at_last_epoch, measure_gap
from ktune.diagnosis.learning import has_learned
from ktune.diagnosis.remedies import regularise
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, Verdict, finding
from ktune.diagnosis.turning_point import TurningPoint, find_turning_point
from ktune.diagnosis.view import TrialView
from ktune.utils.text import percent

STANDARD_ERRORS = 2.0
CERTAIN_SHARE = 0.25
CONFIRMED = 0.6
MEMORISED = 0.3
KEPT_SHARE = 0.5


class Overfitting:
    """A gap between training and validation beyond noise and beyond a practical size.

    Threshold:
        At the best epoch the typical gap over folds is at least the practical size
        (see `Yardstick.practical`: 0.15 for accuracy, 0.25 for R²), and at least a
        quarter of that size after subtracting two standard errors. If validation loss
        turns up as well (KT002), 0.6 of the size and one standard error suffice. Or
        early stopping hides the gap: after the last epoch the training skill is at
        least 0.3 above the kept validation skill, which is less than half of it,
        while validation loss turns up; if it does not, 0.6 and a quarter.

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
            f"{validation:.3f} on validation rows: a gap of {gap.typical:.3f} "
            f"(typical of {len(gap.train)} folds, standard error {gap.error:.3f})."
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
        try:
            last = gap_at_last_epoch(view)
        except NotApplicable:
            return None
        reached, kept = last.train_skill, max(gap.validation_skill, 0.0)
        # Without a rising validation loss the evidence must be twice as strong.
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
            f"{metric} rises to {train:.3f} on training rows but only to "
            f"{gap.validation.mean():.3f} on validation rows{rises}: the model "
            f"memorises its training rows. Early stopping kept {percent(kept)} of the "
            "way from chance to perfect."
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
    """Whether a gap is larger than noise and than the practical size."""
    practical = gap.yardstick.practical * (CONFIRMED if is_confirmed else 1.0)
    errors = 1.0 if is_confirmed else STANDARD_ERRORS
    certain = gap.at_least(errors)
    return gap.typical >= practical and certain >= CERTAIN_SHARE * practical


def _turning_point(view: TrialView) -> TurningPoint | None:
    try:
        return find_turning_point(view)
    except NotApplicable:
        return None
