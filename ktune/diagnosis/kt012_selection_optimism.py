"""KT012: the chosen trial's cross-validated score is better than its test score."""

from typing import ClassVar

from ktune.diagnosis.measures import measure_gap
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, finding
from ktune.diagnosis.view import SearchView

PRACTICAL_SKILL = 0.05


class SelectionOptimism:
    """Choosing the best of many trials by the same folds flatters the winner.

    Threshold:
        The cross-validated mean of the chosen trial is better than the upper end of
        the 95 % interval of its test score, and better than the test score by 0.05 of
        the way from chance to perfect.

    Evidence:
        Both scores, the optimism, the number of trials it was chosen from.

    Source:
        Schneider, Bischl & Feurer, Overtuning in Hyperparameter Optimization, arXiv
        2506.19540 (2025); Cawley & Talbot, JMLR 11 (2010).
    """

    code: ClassVar[str] = "KT012"
    title: ClassVar[str] = "Selection optimism"
    severity: ClassVar[Severity] = Severity.WARNING

    def check(self, view: SearchView) -> Finding | None:
        """Compare the chosen trial's validation with the refit's test score."""
        best = view.best
        if best is None:
            raise NotApplicable("no trial is complete")
        gap = measure_gap(best)
        metric = gap.yardstick.metric
        test = view.test.get(metric)
        if test is None:
            raise NotApplicable("there is no test score (test_size=0 or no refit yet)")
        validation = float(gap.validation.mean())
        optimism = validation - test.value
        upper = test.value if test.high is None else test.high
        if validation <= upper or optimism < PRACTICAL_SKILL * gap.yardstick.unit:
            return None
        message = (
            f"Cross-validation promised {metric} {validation:.3f} for trial "
            f"{best.number}, the best of {len(view.complete)}; on the untouched test "
            f"rows it is {test.value:.3f}: {optimism:.3f} less."
        )
        remedy = (
            "Believe the test score. For the next search: more folds or repeated ones "
            "(`cv=RepeatedStratifiedKFold(...)`), fewer trials, or a smaller space. If "
            "test rows are from another time or source, so will new rows be."
        )
        return finding(
            self,
            message,
            remedy,
            validation=validation,
            test=test.value,
            optimism=optimism,
            n_trials=float(len(view.complete)),
        )
