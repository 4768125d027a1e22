"""KT006: training oscillates or diverges."""

from typing import ClassVar

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis.remedies import calm
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, Verdict, finding
from ktune.diagnosis.skill_curves import skill_curves
from ktune.diagnosis.view import TrialView

LEAST_EPOCHS = 4
SPIKE = 0.15
SPIKE_SHARE = 0.1
LEAST_SPIKES = 2
FALLEN = 0.3
DIVERGED = -0.01
STEADY_SHARE = 0.7
EXPLODED = -1.0
EXPLODED_NUMBERS = -3.0
RECOVERED = 0.5
SCATTERED = 1.2


class UnstableEpochs:
    """The loss on *training* rows spikes, deteriorates, or diverges.

    Training rows are scored after each epoch without dropout, so a rise of their
    loss comes from the optimizer, not from the noise of few validation rows.

    Threshold:
        Any of: (a) in at least a tenth of all epochs (of all folds, two at least) the
        loss rises by 0.15 of a constant prediction's loss; (b) in the median fold
        training ends 0.3 worse than its best epoch; (c) in the second half of the
        epochs the loss stays above that of a constant prediction, and does not fall
        steadily (it falls in less than seven of ten epochs); (d) it has exceeded 2.7
        times that loss (20 times for regression and custom tasks, whose initial
        predictions may be far off) and did not end below half of it. For regression,
        errors must scatter as well (RMSE 1.2 times MAE), else the predictions only miss
        the mean.

    Evidence:
        Share of epochs with a spike, the deterioration, the last level.

    Source:
        Bengio, Practical Recommendations for Gradient-Based Training of Deep
        Architectures (2012), section 3.1.1: a training criterion that rises calls
        for a smaller learning rate.
    """

    code: ClassVar[str] = "KT006"
    title: ClassVar[str] = "Unstable over epochs"
    severity: ClassVar[Severity] = Severity.PROBLEM

    def check(self, view: TrialView) -> Finding | None:
        """Look for spikes, for deterioration, and for divergence."""
        train, _ = skill_curves(view, against_uniform=True)
        if train.shape[1] < LEAST_EPOCHS:
            raise NotApplicable(f"it needs at least {LEAST_EPOCHS} epochs")
        return (
            self._spikes(view, train)
            or self._fall(view, train)
            or self._divergence(view, train)
            or self._explosion(view, train)
        )

    def _spikes(self, view: TrialView, train: np.ndarray) -> Finding | None:
        is_spike = np.diff(train, axis=1) < -SPIKE
        share = float(is_spike.mean())
        if share < SPIKE_SHARE or is_spike.sum() < LEAST_SPIKES:
            return None
        message = (
            f"In {share:.0%} of the epochs the loss on training rows rises sharply "
            "instead of falling."
        )
        return self._finding(view, message, spike_share=share)

    def _fall(self, view: TrialView, train: np.ndarray) -> Finding | None:
        fall = float(np.median(train.max(axis=1) - train[:, -1]))
        if fall < FALLEN:
            return None
        message = (
            "Training deteriorates: the final loss on training rows is worse than the "
            f"best one, by {fall:.2f} of a constant prediction's loss."
        )
        return self._finding(view, message, fall=fall)

    def _divergence(self, view: TrialView, train: np.ndarray) -> Finding | None:
        second_half = train[:, train.shape[1] // 2 :]
        level = float(np.median(second_half))
        is_slow = float(np.mean(np.diff(train, axis=1) > 0)) >= STEADY_SHARE
        if level > DIVERGED or is_slow:
            return None
        message = (
            "Training makes no progress: the loss on training rows changes, but stays "
            "above that of a constant prediction."
        )
        return self._finding(view, message, level=level)

    def _explosion(self, view: TrialView, train: np.ndarray) -> Finding | None:
        worst = float(np.median(train.min(axis=1)))
        last = float(np.median(train[:, -1]))
        is_number = view.context.task in (Task.REGRESSION, Task.CUSTOM)
        limit = EXPLODED_NUMBERS if is_number else EXPLODED
        if worst > limit or last > RECOVERED or not _errors_scatter(view):
            return None
        message = (
            f"The training loss exploded to {np.exp(-worst):.0f} times that of a "
            "constant prediction and did not recover."
        )
        return self._finding(view, message, worst=worst, last=last)

    def _finding(self, view: TrialView, message: str, **evidence: float) -> Finding:
        return finding(self, message, calm(view), verdict=Verdict.UNSTABLE, **evidence)


def _errors_scatter(view: TrialView) -> bool:
    """Whether the errors differ between rows; always True for classes.

    An untrained model far from the mean of the targets has a huge loss, too, but
    nearly the same error in each row.
    """
    rmse, mae = view.curve("train_rmse"), view.curve("train_mae")
    if rmse is None or mae is None:
        return True
    epoch = int(rmse.mean(axis=0).argmax())
    return bool(np.median(rmse[:, epoch] / mae[:, epoch]) >= SCATTERED)
