"""KT004: the trial was still improving at its last epoch."""

from typing import ClassVar

from ktune.diagnosis.improvement import recent_improvement
from ktune.diagnosis.remedies import train_longer
from ktune.diagnosis.rule import Finding, Severity, finding
from ktune.diagnosis.view import TrialView

LEAST_GAIN = 0.01


class StillImproving:
    """More epochs would have improved the trial.

    The finding has no verdict: KT003 decides whether the trial underfits.

    Threshold:
        The best epoch is the last or the one before, and the last third of the
        epochs has reduced validation loss by at least 0.01 of a constant
        prediction's and by two standard errors over the folds.

    Evidence:
        The improvement in the last third, and its share of the whole improvement.

    Source:
        Prechelt, Early Stopping - But When? (1998): training should stop after the
        minimum of the validation curve.
    """

    code: ClassVar[str] = "KT004"
    title: ClassVar[str] = "Still improving at the last epoch"
    severity: ClassVar[Severity] = Severity.TIP

    def check(self, view: TrialView) -> Finding | None:
        """Look at the end of the validation curve."""
        improvement = recent_improvement(view)
        best = view.result.best_epoch
        if best is None or best < view.result.epochs - 2:
            return None
        if improvement.gain < max(LEAST_GAIN, 2 * improvement.error):
            return None
        message = (
            f"The best epoch is {best + 1} of {view.result.epochs}, and in the last "
            f"third of the epochs validation loss fell by {improvement.gain:.2f} of "
            f"a constant prediction's ({improvement.share:.0%} of the improvement)."
        )
        return finding(
            self,
            message,
            train_longer(view),
            gain=improvement.gain,
            share=improvement.share,
        )
