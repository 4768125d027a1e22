"""KT012: the test score of the best trial is below its cross-validated score."""

from typing import ClassVar

from ktune.diagnosis.gap import measure_gap
from ktune.diagnosis.own_loss import OWN_SKILL, own_test_skill
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, finding
from ktune.diagnosis.view import SearchView

PRACTICAL_SKILL = 0.05


class SelectionOptimism:
    """Selecting the best of many trials on the same folds biases its score upwards.

    Threshold:
        The cross-validated mean of the best trial is better than the upper end of
        the 95 % interval of its test score, and better than the test score by 0.05 of
        the way from chance to perfect.

    Evidence:
        Both scores, the optimism, the number of complete trials.

    Source:
        Schneider, Bischl & Feurer, Overtuning in Hyperparameter Optimization, arXiv
        2506.19540 (2025); Cawley & Talbot, JMLR 11 (2010).
    """

    code: ClassVar[str] = "KT012"
    title: ClassVar[str] = "Selection optimism"
    severity: ClassVar[Severity] = Severity.WARNING

    def check(self, view: SearchView) -> Finding | None:
        """Compare the cross-validated score with the test score of the refit."""
        best = view.best
        if best is None:
            raise NotApplicable("no trial is complete")
        gap = measure_gap(best)
        metric = gap.yardstick.metric
        is_own = metric == OWN_SKILL
        test = own_test_skill(view, best) if is_own else view.test.get(metric)
        if test is None:
            raise NotApplicable("there is no test score (test_size=0 or no refit yet)")
        validation = float(gap.validation.mean())
        optimism = validation - test.value
        upper = test.value if test.high is None else test.high
        if validation <= upper or optimism < PRACTICAL_SKILL * gap.yardstick.unit:
            return None
        message = (
            f"The cross-validated {metric} of trial {best.number}, the best of "
            f"{len(view.complete)}, is {validation:.3f}; on the untouched test "
            f"rows it is {test.value:.3f}: {optimism:.3f} less."
        )
        remedy = (
            "Rely on the test score. For the next search: more folds or repeated ones "
            "(`cv=RepeatedStratifiedKFold(...)`), fewer trials, or a smaller space. If "
            "test rows are from another time or source, expect the same of new rows."
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
