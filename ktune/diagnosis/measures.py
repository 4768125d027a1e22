"""Measures shared by the rules: a common scale of scores, and the noise of a score.

Metrics have different units, so rules compare **skill**: 0 for a constant prediction,
1 for a perfect one. The skill of a score is measured by the *yardstick*: the objective
if its chance level is known, otherwise accuracy or R². The skill of a loss is the
share of the constant prediction's log loss that the model removes (for regression: of
its squared error, which makes it R²; for a custom task: of its own loss, which is the
yardstick too, `OWN_SKILL`); it is smooth, so rules use it for curves.
"""

from dataclasses import dataclass

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis.out_of_fold import read_out_of_fold
from ktune.diagnosis.own_loss import OWN_SKILL, constant_own_loss, own_skill
from ktune.diagnosis.rule import NotApplicable
from ktune.diagnosis.view import TrialView
from ktune.metrics.scores import LOSS

_UNBOUNDED = ("r2", OWN_SKILL)
"""Yardsticks that depend on the size of each error; their noise is unbounded."""

_RANKING = {"roc_auc", "roc_auc_ovr", "roc_auc_ovo"}
_PER_CLASS = {"balanced_accuracy", "recall_macro", "f1_macro"}
_TINY = 1e-9

POOR_SKILL = 0.1
POOR_LOSS_SKILL = 0.05
LEAST_EPOCHS = 4
STEADY_SHARE = 0.9
EVEN = 1.5
"""Classes are balanced if the largest has at most this multiple of an equal share."""
ODD = 4.0
"""A fold is an outlier at this multiple of its noise from the median."""
PERFECT_ERROR = 0.01
"""Unexplained share of variance below which R² counts as perfect."""


@dataclass(frozen=True)
class Yardstick:
    """A metric with a known scale: ``chance`` for a constant prediction, 1 perfect."""

    metric: str
    chance: float

    def skill(self, score: np.ndarray) -> np.ndarray:
        """Return scores on the scale where chance is 0 and perfect is 1."""
        return (score - self.chance) / (1.0 - self.chance)

    @property
    def unit(self) -> float:
        """One unit of skill in the unit of the metric."""
        return 1.0 - self.chance

    @property
    def is_unbounded(self) -> bool:
        """Whether it depends on the size of each error, as R² does."""
        return self.metric in _UNBOUNDED

    def steady(self, score: np.ndarray) -> np.ndarray:
        """Return scores on a scale with about constant noise.

        For R² this is minus the logarithm of the unexplained share: the noise of R²
        grows with that share, so on the original scale it would hide overfitting.
        Other metrics are not changed.
        """
        if not self.is_unbounded:
            return score
        return -np.log(np.maximum(1.0 - score, PERFECT_ERROR))

    @property
    def practical(self) -> float:
        """The smallest relevant gap, in the unit of the metric.

        0.15, but at most 0.3 of the way from chance to perfect. For R², which depends
        on the size of each error and not only on the predicted class, 0.25.
        """
        wide = 0.25 if self.is_unbounded else 0.15
        return max(min(wide, 0.3 * self.unit), 0.03)


@dataclass(frozen=True)
class Gap:
    """Training and validation scores at the best epoch, by fold.

    Attributes:
        yardstick: The metric of the scores.
        train: Score of each fold on training rows.
        validation: Score of each fold on validation rows.
        noise: Standard deviation of each validation score by sampling of its rows, on
            the steady scale (see `steady`).
        test_share: Ratio of validation rows to training rows.
    """

    yardstick: Yardstick
    train: np.ndarray
    validation: np.ndarray
    noise: np.ndarray
    test_share: float

    @property
    def train_skill(self) -> float:
        """Mean skill on training rows."""
        return float(np.mean(self.yardstick.skill(self.train)))

    @property
    def validation_skill(self) -> float:
        """Mean skill on validation rows."""
        return float(np.mean(self.yardstick.skill(self.validation)))

    @property
    def typical(self) -> float:
        """Robust mean over folds of training minus validation score.

        For R², whose noise is unbounded, the median; otherwise the mean without
        outlying folds, because medians over folds of few rows are coarse.
        """
        gaps = self.train - self.validation
        middle = float(np.median(gaps))
        if self.yardstick.is_unbounded:
            return middle
        is_near = np.abs(gaps - middle) <= ODD * self.noise
        return float(gaps[is_near].mean()) if is_near.any() else middle

    @property
    def error(self) -> float:
        """Approximate standard error of the typical gap, in the unit of the metric."""
        steady_gaps = self.yardstick.steady(self.train) - self.yardstick.steady(
            self.validation
        )
        return self._error_of(steady_gaps) * self._unit_at(self.validation)

    def at_least(self, standard_errors: float) -> float:
        """Return the typical gap minus some standard errors."""
        stick = self.yardstick
        gaps = stick.steady(self.train) - stick.steady(self.validation)
        lowest = float(np.median(gaps)) - standard_errors * self._error_of(gaps)
        if not stick.is_unbounded:
            return self.typical - standard_errors * self._error_of(gaps)
        return float(np.expm1(lowest)) * self._unit_at(self.train)

    def _unit_at(self, scores: np.ndarray) -> float:
        """Return the size of a small steady step in the unit of the metric."""
        if not self.yardstick.is_unbounded:
            return 1.0
        return max(1.0 - float(np.median(scores)), PERFECT_ERROR)

    def _error_of(self, gaps: np.ndarray) -> float:
        """Return the standard error of the typical gap, from sampling and training.

        Validation rows of folds are disjoint, so their sampling noise averages out.
        The other variance comes from training, and folds share most training rows, so
        the correction applies to it. The estimate is robust against an outlying fold,
        like the typical gap.

        Source:
            Nadeau & Bengio, Inference for the Generalization Error, Machine Learning
            52 (2003). A normal median has 1.25 times the standard error of the mean.
        """
        n_folds = len(gaps)
        by_rows = float(np.mean(self.noise**2))
        if n_folds < 2:
            return float(np.sqrt(by_rows))
        robust = 1.25 * 1.4826 * float(np.median(np.abs(gaps - np.median(gaps))))
        variance = min(float(np.var(gaps, ddof=1)), robust**2)
        by_training = max(variance - by_rows, 0.0) * (1 / n_folds + self.test_share)
        return float(np.sqrt(by_rows / n_folds + by_training))


def require_scores(view: TrialView) -> None:
    """Refuse trials without any scored epoch.

    Raises:
        NotApplicable: The trial failed.
    """
    if not view.has_scores:
        raise NotApplicable("the trial failed before anything could be measured")


def class_counts(view: TrialView) -> np.ndarray:
    """Return the number of validation rows of each class.

    Raises:
        NotApplicable: There is no confusion matrix, as for regression.
    """
    if view.context.task is Task.CUSTOM:
        raise NotApplicable("a custom task has no classes")
    if not view.result.confusion:
        raise NotApplicable("there is no confusion matrix")
    return np.array(view.result.confusion, dtype=np.float64).sum(axis=1)


def yardstick(view: TrialView) -> Yardstick:
    """Return the metric for comparing scores, with its chance level.

    Raises:
        NotApplicable: The chance level is not known for this task.
    """
    task, metric = view.context.task, view.context.objective.metric
    if task is Task.REGRESSION:
        return Yardstick("r2", 0.0)
    if task is Task.CUSTOM:
        return Yardstick(OWN_SKILL, 0.0)
    if task is Task.MULTILABEL:
        return _from_baseline(view, "f1_macro")
    shares = class_counts(view) / class_counts(view).sum()
    if metric in _RANKING:
        return Yardstick(metric, 0.5)
    if metric in _PER_CLASS:
        return Yardstick(metric, 1 / len(shares))
    if metric == "f1" and task is Task.BINARY:
        return Yardstick(metric, float(2 * shares[1] / (1 + shares[1])))
    return Yardstick("accuracy", min(float(shares.max()), 1 - _TINY))


def measure_gap(view: TrialView) -> Gap:
    """Return train and validation scores of the folds on the yardstick.

    Raises:
        NotApplicable: The trial failed, or the metric is undefined in every fold.
    """
    require_scores(view)
    stick = yardstick(view)
    train = _scores_on(stick, view, "train")
    validation = _scores_on(stick, view, "validation")
    defined = np.isfinite(train) & np.isfinite(validation)
    if not defined.any():
        raise NotApplicable(f"{stick.metric} is not defined on these folds")
    rows = np.array([fold.n_validation for fold in view.result.folds])[defined]
    n_train = np.array([fold.n_train for fold in view.result.folds])[defined]
    validation = validation[defined]
    return Gap(
        yardstick=stick,
        train=train[defined],
        validation=validation,
        noise=_noise_by_fold(view, stick, validation, rows),
        test_share=float(rows.mean() / n_train.mean()),
    )


def _scores_on(stick: Yardstick, view: TrialView, side: str) -> np.ndarray:
    """Return the scores of the folds on a yardstick."""
    is_own = stick.metric == OWN_SKILL
    return own_skill(view, side) if is_own else view.scores(stick.metric, side)


def has_learned(view: TrialView) -> bool:
    """Whether training has learned more than a constant prediction.

    Either the loss on training rows falls by at least 0.05 of a constant
    prediction's in some epoch, or the recalls show it: class weights increase the
    log loss of a model, and then unbalanced classes are compared by recall.
    """
    gap = measure_gap(view)
    loss_skill = _best_loss_skill(view)
    if loss_skill is None:
        return gap.train_skill >= POOR_SKILL or not _is_blind(view)
    if loss_skill >= POOR_LOSS_SKILL and not _creeps(view):
        is_poor = max(gap.train_skill, loss_skill) < POOR_SKILL
        return not is_poor or not _is_blind(view)
    against_uniform = _best_loss_skill(view, against_uniform=True) or 0.0
    return against_uniform >= POOR_LOSS_SKILL and not _is_blind(view)


def _best_loss_skill(view: TrialView, *, against_uniform: bool = False) -> float | None:
    """Return the best skill of the training loss over epochs, mean over folds."""
    try:
        train, _ = skill_curves(view, against_uniform=against_uniform)
    except NotApplicable:
        return None
    return float(train.mean(axis=0).max())


def _creeps(view: TrialView) -> bool:
    """Whether training hardly moves from its initial weights, but steadily.

    Random weights can be better than a constant prediction. A loss that then falls
    steadily but very slowly means a far too small learning rate; with a weak signal
    that is learned in the first epoch, the loss does not fall further.
    """
    train, _ = skill_curves(view)
    mean = train.mean(axis=0)
    if len(mean) < LEAST_EPOCHS or mean.max() >= 2 * POOR_SKILL:
        return False
    is_steady = float(np.mean(np.diff(mean) > 0)) >= STEADY_SHARE
    return is_steady and float(mean[-1] - mean[0]) < POOR_LOSS_SKILL


def _is_blind(view: TrialView) -> bool:
    """Whether the recalls show no learning.

    Recalls of balanced classes are ignored: accuracy can be high by chance while the
    probabilities have hardly changed.
    """
    if not view.result.confusion:
        return True
    counts = class_counts(view)
    chance = 1 / len(counts)
    if counts.max() / counts.sum() < EVEN * chance:
        return True
    balanced = float(np.nanmean(recall_by_class(view)))
    return (balanced - chance) / (1 - chance) < POOR_SKILL


def _noise_by_fold(
    view: TrialView, stick: Yardstick, scores: np.ndarray, n_rows: np.ndarray
) -> np.ndarray:
    """Return the sampling noise of the score of each fold.

    A few rows with very large errors make R² noisier than normal errors do, so the
    noise is estimated from the out-of-fold predictions if available.
    """
    typical = sampling_noise(view, stick, float(np.mean(scores)), n_rows)
    if stick.metric != "r2" or not view.result.out_of_fold:
        return typical
    out_of_fold = read_out_of_fold(view.result.out_of_fold)
    if out_of_fold.target.ndim > 1:
        return typical
    error = (out_of_fold.prediction - out_of_fold.target) ** 2
    folds = [error[out_of_fold.fold == fold] for fold in np.unique(out_of_fold.fold)]
    if len(folds) != len(n_rows):
        return typical
    heavy = [
        float(np.std(part) / np.sqrt(len(part)) / max(float(part.mean()), _TINY))
        for part in folds
    ]
    return np.maximum(typical, float(np.median(heavy)))


def gap_at_last_epoch(view: TrialView) -> Gap:
    """Return train and validation scores after the last epoch.

    Raises:
        NotApplicable: The curves were not recorded, or are undefined in a fold.
    """
    gap = measure_gap(view)
    metric = gap.yardstick.metric
    train, validation = (
        skill_curves(view)
        if metric == OWN_SKILL
        else (view.curve(f"train_{metric}"), view.curve(f"val_{metric}"))
    )
    if train is None or validation is None or len(train) != len(gap.train):
        raise NotApplicable(f"no curve of {metric} was recorded")
    ends = train[:, -1], validation[:, -1]
    if not np.isfinite(ends).all():
        raise NotApplicable(f"{metric} is not defined in every fold")
    return Gap(gap.yardstick, *ends, gap.noise, gap.test_share)


def sampling_noise(
    view: TrialView, stick: Yardstick, score: float, n_rows: np.ndarray
) -> np.ndarray:
    """Return the standard deviation of scores by sampling of rows, steady scale.

    Args:
        view: The trial, for the shares of the classes.
        stick: The metric.
        score: Its mean; not used for R².
        n_rows: Number of rows of each fold.

    Source:
        Shares: the binomial with Agresti & Coull's added outcomes (1998), so that a
        perfect score has noise, too. R²: the delta method for the logarithm of a
        ratio of mean squares of normal errors.
    """
    n = n_rows.astype(np.float64)
    if stick.is_unbounded:
        return np.sqrt(4 / n)
    if stick.metric != "accuracy" and view.result.confusion:
        shares = class_counts(view) / class_counts(view).sum()
        n = n * min(1.0, len(shares) * float(shares.min()))  # the rarest class decides
    share = (np.clip(score, 0, 1) * n + 2) / (n + 4)
    return np.sqrt(share * (1 - share) / (n + 4))


def skill_curves(
    view: TrialView, *, against_uniform: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return skill of the loss on training and validation rows, [fold, epoch].

    Args:
        view: The trial.
        against_uniform: Compare with equal probabilities for all classes if that is
            worse than predicting their shares. Training with class weights starts
            from equal probabilities, so a log loss above that of the shares is no
            fault.

    Returns:
        Two arrays. Values below 0 are compressed (see `compress`), so that a diverged
        trial does not dominate.

    Raises:
        NotApplicable: The curves were not recorded.
    """
    require_scores(view)
    name = _CURVES.get(view.context.task, "log_loss")
    train, validation = view.curve(f"train_{name}"), view.curve(f"val_{name}")
    if train is None or validation is None:
        raise NotApplicable(f"no curve of {name} was recorded")
    if not (np.isfinite(train).all() and np.isfinite(validation).all()):
        raise NotApplicable(f"the curve of {name} is not defined in every fold")
    if name == "r2":
        return compress(train), compress(validation)
    if name == LOSS:
        worst = constant_own_loss(view)
        return compress(1 - train / worst), compress(1 - validation / worst)
    worst = constant_log_loss(view)
    if against_uniform:
        worst = max(worst, uniform_log_loss(view))
    return compress(1 - train / worst), compress(1 - validation / worst)


_CURVES = {Task.REGRESSION: "r2", Task.CUSTOM: LOSS}


def compress(skill: np.ndarray) -> np.ndarray:
    """Return skill with its part below 0 on a logarithmic scale.

    Example:
        >>> compress(np.array([0.5, 0.0, -99.0])).round(2).tolist()
        [0.5, 0.0, -4.61]
    """
    return np.where(skill >= 0, skill, -np.log1p(-np.minimum(skill, 0)))


def constant_log_loss(view: TrialView) -> float:
    """Return the log loss of always predicting the shares of the classes.

    Raises:
        NotApplicable: The shares are unknown.
    """
    if view.context.task is Task.MULTILABEL:
        return 1 - _from_baseline(view, "log_loss").unit
    shares = class_counts(view) / class_counts(view).sum()
    shares = shares[shares > 0]
    return max(float(-(shares * np.log(shares)).sum()), _TINY)


def uniform_log_loss(view: TrialView) -> float:
    """Return the log loss of always predicting equal probabilities."""
    n_classes = 2 if view.context.task is Task.MULTILABEL else len(class_counts(view))
    return float(np.log(n_classes))


def recall_by_class(view: TrialView) -> np.ndarray:
    """Return out-of-fold recall of each class, NaN for classes without rows.

    Raises:
        NotApplicable: There is no confusion matrix, as for regression.
    """
    counts = class_counts(view)
    hits = np.diag(np.array(view.result.confusion, dtype=np.float64))
    return np.divide(hits, counts, out=np.full(len(hits), np.nan), where=counts > 0)


def percent(value: float) -> str:
    """Return a share as text.

    Example:
        >>> percent(0.1234)
        '12 %'
    """
    return f"{100 * value:.0f} %"


def _from_baseline(view: TrialView, metric: str) -> Yardstick:
    baselines = view.context.baselines
    if baselines is None or metric not in baselines.constant:
        raise NotApplicable(
            f"the {metric} of a constant prediction is not known for this task"
        )
    return Yardstick(metric, min(baselines.constant[metric], 1 - _TINY))
