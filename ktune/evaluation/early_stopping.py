"""Early stopping: the best epoch so far, and when training on is of no use."""

from ktune.metrics.scores import Objective


class EarlyStopping:
    """Follows the fold mean of the objective from epoch to epoch.

    All folds are read at one epoch, the best of the *mean* curve, as ``xgboost.cv``
    does: no fold picks its own lucky epoch.

    Args:
        objective: Decides which epoch is best.
        patience: After how many epochs without a better one training stops; None:
            never. False: no epoch is chosen, the last one counts.
    """

    def __init__(self, objective: Objective, patience: int | None = None) -> None:
        self._objective = objective
        self._patience = patience
        self.n_epochs = 0
        self.best_epoch = -1
        self.best_value = objective.worst

    def update(self, value: float) -> bool:
        """Take the value of one more epoch; return whether it is the best so far."""
        is_best = self._patience is False or self._objective.is_better(
            value, self.best_value
        )
        if is_best:
            self.best_epoch, self.best_value = self.n_epochs, value
        self.n_epochs += 1
        return is_best

    @property
    def epochs_since_best(self) -> int:
        """How many epochs have passed since the best one."""
        return self.n_epochs - 1 - self.best_epoch

    @property
    def should_stop(self) -> bool:
        """Whether the patience is used up."""
        if self._patience is None or self._patience is False:
            return False
        return self.epochs_since_best >= self._patience
