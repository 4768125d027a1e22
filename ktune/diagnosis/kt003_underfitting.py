"""KT003: the trial underfits its training rows."""

from typing import ClassVar

import numpy as np

from ktune.diagnosis.chance import beats_constant_guess
from ktune.diagnosis.gap import Gap, measure_gap
from ktune.diagnosis.improvement import is_steep, recent_improvement
from ktune.diagnosis.learning import has_learned
from ktune.diagnosis.remedies import strengthen, train_longer
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, Verdict, finding
from ktune.diagnosis.skill_curves import skill_curves
from ktune.diagnosis.view import TrialView
from ktune.utils.text import count_of

PRACTICAL_SKILL = 0.1
STANDARD_ERRORS = 2.0


class Underfitting:
    """Training and validation scores are poor, or another model is clearly better.

    Threshold:
        Any of: (a) on training rows the trial is less than 0.1 of the way from a
        constant prediction to perfect by score and loss, or its loss never falls by
        0.05 of a constant prediction's (see `has_learned`); (b) its loss was still
        falling steeply when training ended; (c) a linear model, a small forest on
        the same folds, or another trial reaches a validation score that is above
        this trial's validation *and* training score by 0.1 of that way and two
        standard errors; (d) its out-of-fold predictions are not better than a constant
        guess beyond noise (see `beats_constant_guess`).

    Evidence:
        Training and validation score, chance level, score of the better model.

    Source:
        Goodfellow, Bengio & Courville, Deep Learning (2016), section 5.2 and, on
        comparing with simple models first, section 11.2.
    """

    code: ClassVar[str] = "KT003"
    title: ClassVar[str] = "Underfitting"
    severity: ClassVar[Severity] = Severity.PROBLEM

    def check(self, view: TrialView) -> Finding | None:
        """Compare with chance, with the end of its curves, and with other models."""
        gap = measure_gap(view)
        return (
            self._near_chance(view, gap)
            or self._no_better_than_guess(view, gap)
            or self._cut_short(view, gap)
            or self._others_do_better(view, gap)
        )

    def _near_chance(self, view: TrialView, gap: Gap) -> Finding | None:
        if has_learned(view):
            return None
        metric, chance = gap.yardstick.metric, gap.yardstick.chance
        message = (
            f"{metric} is {gap.train.mean():.3f} on training rows and "
            f"{gap.validation.mean():.3f} on validation rows; always predicting the "
            f"same gives {chance:.3f}. The model has learned next to nothing."
        )
        return self._finding(view, gap, message, _remedy(view), chance=chance)

    def _no_better_than_guess(self, view: TrialView, gap: Gap) -> Finding | None:
        try:
            if beats_constant_guess(view):
                return None
        except NotApplicable:
            return None
        metric, chance = gap.yardstick.metric, gap.yardstick.chance
        message = (
            f"{metric} is {gap.validation.mean():.3f} on validation rows; always "
            f"predicting the same gives {chance:.3f}, and row by row the difference is "
            "within noise. The model has learned nothing that holds for other rows."
        )
        return self._finding(view, gap, message, _other_features(), chance=chance)

    def _cut_short(self, view: TrialView, gap: Gap) -> Finding | None:
        try:
            improvement = recent_improvement(view)
        except NotApplicable:
            return None
        if not is_steep(improvement):
            return None
        epochs = count_of(view.result.epochs, "epoch")
        message = (
            f"Training ended after {epochs} while validation loss "
            f"was still falling steeply: {improvement.share:.0%} of the improvement "
            f"was in the last third of the epochs. {gap.yardstick.metric} "
            f"had reached {gap.validation.mean():.3f}."
        )
        return self._finding(
            view, gap, message, train_longer(view), recent_share=improvement.share
        )

    def _others_do_better(self, view: TrialView, gap: Gap) -> Finding | None:
        reached = max(float(gap.train.mean()), float(gap.validation.mean()))
        margin = max(PRACTICAL_SKILL * gap.yardstick.unit, STANDARD_ERRORS * gap.error)
        for model, score in _references(view, gap.yardstick.metric):
            if score - reached >= margin:
                message = (
                    f"{model} reaches {gap.yardstick.metric} {score:.3f} on validation "
                    f"rows; this trial reaches {gap.validation.mean():.3f}, and no "
                    f"more than {gap.train.mean():.3f} on its training rows."
                )
                return self._finding(
                    view, gap, message, strengthen(view), reference=score
                )
        return None

    def _finding(
        self, view: TrialView, gap: Gap, message: str, remedy: str, **evidence: float
    ) -> Finding:
        return finding(
            self,
            message,
            remedy,
            verdict=Verdict.UNDERFIT,
            train=float(gap.train.mean()),
            validation=float(gap.validation.mean()),
            **evidence,
        )


def _other_features() -> str:
    return (
        "Check that features and targets belong to the same rows, and add features or "
        "rows: a larger model fits noise only."
    )


def _remedy(view: TrialView) -> str:
    try:
        if recent_improvement(view).share > 1 / 3 and _moves(view):
            return train_longer(view)
    except NotApplicable:
        return strengthen(view)
    return strengthen(view)


def _moves(view: TrialView) -> bool:
    """Whether training loss has fallen in nearly every epoch, by any amount."""
    train, _ = skill_curves(view)
    return bool(np.mean(np.diff(train.mean(axis=0)) > 0) > 0.8)


def _references(view: TrialView, metric: str) -> list[tuple[str, float]]:
    """Return the validation scores of other models on these folds."""
    references = []
    if view.context.best_score is not None:
        references.append(("Another trial of this search", view.context.best_score))
    baselines = view.context.baselines
    if baselines is not None:
        if metric in baselines.linear:
            references.append(("A linear model", baselines.linear[metric]))
        if metric in baselines.trees:
            references.append(("A small forest of trees", baselines.trees[metric]))
    return references
