"""KT004: the trial was still improving when its epochs ran out."""

from typing import ClassVar

from ktune.diagnosis.improvement import recent_improvement
from ktune.diagnosis.remedies import train_longer
from ktune.diagnosis.rule import Finding, Severity, finding
from ktune.diagnosis.view import TrialView

LEAST_GAIN = 0.01


class StillImproving:
    """More epochs would have made the trial better.

    Whether it is so bad as to call the trial underfit is KT003's question.

    Threshold:
        The best epoch is the last or the one before, and the last third of the
        epochs has reduced validation loss by at least 0.01 of a constant
        prediction's and by two standard errors over the folds.

    Evidence:
        What the last third brought, and its share in everything gained.

    Source:
        Prechelt, Early Stopping - But When? (1998): stopping is for curves that
        have passed their minimum.
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
            f"The best epoch is {best + 1} of {view.result.epochs}, and the last third "
            f"of the epochs has still cut validation loss by {improvement.gain:.2f} of "
            f"a constant prediction's ({improvement.share:.0%} of all that was gained)."
        )
        return finding(
            self,
            message,
            train_longer(view),
            gain=improvement.gain,
            share=improvement.share,
        )
