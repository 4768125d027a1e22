"""KT009: the recall of one class is far below that of the others."""

from typing import ClassVar

import numpy as np

from ktune.diagnosis.class_counts import class_counts, recall_by_class
from ktune.diagnosis.rule import Finding, NotApplicable, Severity, finding
from ktune.diagnosis.view import TrialView, require_scores
from ktune.utils.text import percent

LEAST_ROWS = 10
SHARE_OF_OTHERS = 0.6
LEAST_DIFFERENCE = 0.15
STANDARD_ERRORS = 3.0


class ClassLeftBehind:
    """One class has a low recall, which the mean score hides.

    Threshold:
        The recall of a class with at least 10 rows is below 0.6 of the median of the
        other classes, below it by 0.15, and by three standard errors.

    Evidence:
        The recall of the class, of the others, its number of rows.

    Source:
        He & Garcia, Learning from Imbalanced Data, IEEE TKDE 21 (2009).
    """

    code: ClassVar[str] = "KT009"
    title: ClassVar[str] = "A class is left behind"
    severity: ClassVar[Severity] = Severity.WARNING

    def check(self, view: TrialView) -> Finding | None:
        """Compare each class with the median of the others."""
        require_scores(view)
        counts, recall = class_counts(view), recall_by_class(view)
        judged = np.flatnonzero(counts >= LEAST_ROWS)
        if len(judged) < 2:
            raise NotApplicable(f"fewer than two classes have {LEAST_ROWS} rows")
        worst = int(judged[np.argmin(recall[judged])])
        others = float(np.median(np.delete(recall[judged], recall[judged].argmin())))
        here = float(recall[worst])
        error = float(np.sqrt(others * (1 - others) / counts[worst]))
        difference = others - here
        is_real = difference >= max(LEAST_DIFFERENCE, STANDARD_ERRORS * error)
        if not is_real or here >= SHARE_OF_OTHERS * others:
            return None
        return self._finding(view, worst, here, others)

    def _finding(
        self, view: TrialView, worst: int, recall: float, others: float
    ) -> Finding:
        counts = class_counts(view)
        name = self._name(view, worst)
        confused_row = np.array(view.result.confusion[worst], dtype=np.float64)
        confused_row[worst] = -1
        taken_for = self._name(view, int(confused_row.argmax()))
        message = (
            f"The recall of class {name!r} ({counts[worst]:.0f} rows) is only "
            f"{percent(recall)}, that of the others {percent(others)}; it is most "
            f"often predicted as {taken_for!r}."
        )
        is_rare = counts[worst] < 0.5 * np.median(np.delete(counts, worst))
        remedy = (
            'Set `class_weight="balanced"` in `fit` and search by '
            "`--objective f1_macro`, so that each class counts the same."
            if is_rare
            else f"Check rows of {name!r} predicted as {taken_for!r}: wrong labels, or "
            "a missing feature that separates them? With `--objective f1_macro` each "
            "class counts the same."
        )
        return finding(
            self, message, remedy, recall=recall, others=others, n_rows=counts[worst]
        )

    def _name(self, view: TrialView, index: int) -> str:
        names = view.context.class_names
        return names[index] if index < len(names) else str(index)
