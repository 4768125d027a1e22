"""KT002: validation loss turns up while training loss continues to fall."""

from typing import ClassVar

from ktune.data.dataset import Task
from ktune.diagnosis.remedies import regularise
from ktune.diagnosis.rule import Finding, Severity, finding
from ktune.diagnosis.turning_point import find_turning_point
from ktune.diagnosis.view import TrialView


class TurningUp:
    """Further training makes the model worse on validation rows.

    The finding has no verdict: early stopping keeps the best epoch, and KT001 decides
    whether that epoch overfits.

    Threshold:
        From its best epoch to the last one, validation loses at least 0.05 of the
        constant prediction's loss and two standard errors over the folds, while
        training gains at least 0.05.

    Evidence:
        The turning epoch and both changes.

    Source:
        Prechelt, Early Stopping - But When? (1998).
    """

    code: ClassVar[str] = "KT002"
    title: ClassVar[str] = "Validation loss turns up"
    severity: ClassVar[Severity] = Severity.WARNING

    def check(self, view: TrialView) -> Finding | None:
        """Look for the turning point of the mean validation loss."""
        turn = find_turning_point(view)
        if turn is None:
            return None
        kept = view.result.best_epoch
        message = (
            f"Validation loss is lowest after epoch {turn.epoch + 1} of "
            f"{view.result.epochs} and then rises by {turn.lost:.2f} of a constant "
            f"prediction's loss, while training loss falls by {turn.gained:.2f}."
        )
        if kept is not None:
            message += f" The best epoch of the trial is {kept + 1}."
        return finding(
            self,
            message,
            self._remedy(view, turn.epoch),
            turning_epoch=turn.epoch + 1.0,
            lost=turn.lost,
            gained=turn.gained,
        )

    def _remedy(self, view: TrialView, epoch: int) -> str:
        kept = view.result.best_epoch
        if kept is None or kept <= epoch + 1:
            return regularise(view)
        if view.context.task is Task.REGRESSION:
            choice = (
                "Choose the epoch by early stopping on the squared error "
                "(`--objective rmse -S fit.early_stopping=5`)."
            )
        elif view.context.task is Task.CUSTOM:
            choice = "Choose the epoch by the loss (`--objective loss`)."
        else:
            choice = (
                "For good probabilities choose the epoch by loss "
                "(`--objective log_loss`)."
            )
        return f"{choice} {regularise(view)}"
