"""KT008: the score is suspiciously good; look for leakage."""

from typing import ClassVar

from ktune.diagnosis.gap import Gap, measure_gap
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, finding
from ktune.diagnosis.view import TrialView
from ktune.utils.text import percent

STANDARD_ERRORS = 3.0
PRACTICAL_SKILL = 0.05
NEAR_PERFECT = 0.98
DUPLICATES = 0.01


class SuspiciouslyGood:
    """Validation is above training, one feature predicts the target, or duplicates.

    The finding has no verdict: the model may fit well, but its score on new rows may
    be lower.

    Threshold:
        Validation is above training by 0.05 (of the way from chance to perfect) and
        three standard errors; or one feature alone predicts the target with a skill
        of 0.98 and so does the trial; or at least 1 % of the validation or test rows
        also occur, target included, among the training rows.

    Evidence:
        Scores, the feature, shares of duplicates.

    Source:
        Kaufman et al., Leakage in Data Mining, ACM TKDD 6 (2012); Kapoor &
        Narayanan, Leakage and the Reproducibility Crisis, Patterns 4 (2023).
    """

    code: ClassVar[str] = "KT008"
    title: ClassVar[str] = "Suspiciously good"
    severity: ClassVar[Severity] = Severity.WARNING

    def check(self, view: TrialView) -> Finding | None:
        """Look at the trial's scores, then at the data."""
        gap = measure_gap(view)
        result = self._validation_above_training(gap)
        if result is not None:
            return result
        if view.context.facts is None:
            raise NotApplicable("the data were not searched for duplicates and leaks")
        return self._single_feature(view, gap) or self._duplicates(view)

    def _validation_above_training(self, gap: Gap) -> Finding | None:
        above = -gap.typical
        limit = max(PRACTICAL_SKILL * gap.yardstick.unit, STANDARD_ERRORS * gap.error)
        if above < limit:
            return None
        message = (
            f"{gap.yardstick.metric} is {gap.validation.mean():.3f} on validation rows "
            f"but {gap.train.mean():.3f} on training rows: better on unseen rows than "
            "on training rows."
        )
        remedy = (
            "Check the folds (`cv`): easier rows in validation, rows in training and "
            "validation, or changed training targets."
        )
        return finding(self, message, remedy, above=above, standard_error=gap.error)

    def _single_feature(self, view: TrialView, gap: Gap) -> Finding | None:
        facts = view.context.facts
        if facts is None or facts.best_feature_score is None:
            return None
        is_perfect = min(facts.best_feature_score, gap.validation_skill) >= NEAR_PERFECT
        if not is_perfect:
            return None
        message = (
            f"Feature {facts.best_feature!r} alone predicts the target almost "
            f"perfectly (skill {facts.best_feature_score:.3f})."
        )
        remedy = (
            f"Is {facts.best_feature!r} known before the target? If it is derived from "
            "the target or recorded after it, drop the column."
        )
        return finding(
            self, message, remedy, best_feature_score=facts.best_feature_score
        )

    def _duplicates(self, view: TrialView) -> Finding | None:
        facts = view.context.facts
        assert facts is not None
        in_folds = facts.duplicates_in_folds or 0.0
        in_test = facts.duplicates_in_test or 0.0
        if max(in_folds, in_test) < DUPLICATES:
            return None
        message = (
            f"{percent(in_folds)} of the validation rows and {percent(in_test)} of the "
            "test rows also occur among the training rows, so scores are too good."
        )
        remedy = "Drop duplicate rows, or keep them together with `groups=`."
        return finding(
            self,
            message,
            remedy,
            duplicates_in_folds=in_folds,
            duplicates_in_test=in_test,
        )
