"""Early stopping: the best epoch so far, and the end of training."""

from ktune.metrics.scores import Objective


class EarlyStopping:
    """Monitors the fold mean of the objective.

    All folds are scored at the same epoch, the best of the *mean* curve, as in
    ``xgboost.cv``, so that no fold selects its own best epoch.

    Args:
        objective: The monitored objective.
        patience: Number of epochs without improvement after which training stops;
            None: never. False: the last epoch counts instead of the best.
    """

    def __init__(self, objective: Objective, patience: int | None = None) -> None:
        self._objective = objective
        self._patience = patience
        self.n_epochs = 0
        self.best_epoch = -1
        self.best_value = objective.worst

    def update(self, value: float) -> bool:
        """Add the value of an epoch; return whether it is the best so far."""
        is_best = self._patience is False or self._objective.is_better(
            value, self.best_value
        )
        if is_best:
            self.best_epoch, self.best_value = self.n_epochs, value
        self.n_epochs += 1
        return is_best

    @property
    def epochs_since_best(self) -> int:
        """Number of epochs since the best one."""
        return self.n_epochs - 1 - self.best_epoch

    @property
    def should_stop(self) -> bool:
        """Whether the patience is used up."""
        if self._patience is None or self._patience is False:
            return False
        return self.epochs_since_best >= self._patience
