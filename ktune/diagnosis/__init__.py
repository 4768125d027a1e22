"""Diagnosis of trials and searches: rules with findings, and one verdict.

| code | question | verdict | class |
|---|---|---|---|
| KT001 | is training better than validation beyond noise? | overfit | `Overfitting` |
| KT002 | does validation loss rise while training loss falls? | | `TurningUp` |
| KT003 | does the model underfit its training rows? | underfit | `Underfitting` |
| KT004 | was the trial still improving at its last epoch? | | `StillImproving` |
| KT005 | do the scores differ between folds? | unstable | `UnstableFolds` |
| KT006 | does training oscillate or diverge? | unstable | `UnstableEpochs` |
| KT007 | is the prediction constant, or did training fail? | failed, underfit | \
`DeadTraining` |
| KT008 | is the score suspiciously good? | | `SuspiciouslyGood` |
| KT009 | is the recall of one class far below the others? | | `ClassLeftBehind` |
| KT010 | are the probabilities miscalibrated? | | `Miscalibrated` |
| KT011 | does the best value lie at the edge of its range? | | `EdgeOfRange` |
| KT012 | is the test score below the cross-validated score? | | `SelectionOptimism` |
| KT013 | were there too few trials? | | `TooFewTrials` |

KT001 to KT010 check a trial, the others a search. The order of precedence of verdicts
is failed, unstable, overfit, underfit; a trial without any of them is good.

To add a rule: a file with a class that has the attributes and the method of
`ktune.diagnosis.rule.Rule`, a line in the tuple and the table here, and a test file.
"""

from ktune.diagnosis.kt001_overfitting import Overfitting
from ktune.diagnosis.kt002_turning_up import TurningUp
from ktune.diagnosis.kt003_underfitting import Underfitting
from ktune.diagnosis.kt004_still_improving import StillImproving
from ktune.diagnosis.kt005_unstable_folds import UnstableFolds
from ktune.diagnosis.kt006_unstable_epochs import UnstableEpochs
from ktune.diagnosis.kt007_dead_training import DeadTraining
from ktune.diagnosis.kt008_suspiciously_good import SuspiciouslyGood
from ktune.diagnosis.kt009_class_left_behind import ClassLeftBehind
from ktune.diagnosis.kt010_miscalibrated import Miscalibrated
from ktune.diagnosis.kt011_edge_of_range import EdgeOfRange
from ktune.diagnosis.kt012_selection_optimism import SelectionOptimism
from ktune.diagnosis.kt013_too_few_trials import TooFewTrials
from ktune.diagnosis.rule import (
    Finding,
    NotApplicable,
    Rule,
    Severity,
    Verdict,
)
from ktune.diagnosis.verdict import (
    Diagnosis,
    SearchDiagnosis,
    diagnosis_as_dict,
    judge_search,
    judge_trial,
)
from ktune.diagnosis.view import (
    Baselines,
    Context,
    DataFacts,
    ParameterView,
    SearchView,
    TrialView,
)

__all__ = [
    "SEARCH_RULES",
    "TRIAL_RULES",
    "Baselines",
    "Context",
    "DataFacts",
    "Diagnosis",
    "Finding",
    "NotApplicable",
    "ParameterView",
    "Rule",
    "SearchDiagnosis",
    "SearchView",
    "Severity",
    "TrialView",
    "Verdict",
    "diagnose_search",
    "diagnose_trial",
    "diagnosis_as_dict",
]

TRIAL_RULES: tuple[Rule[TrialView], ...] = (
    Overfitting(),
    TurningUp(),
    Underfitting(),
    StillImproving(),
    UnstableFolds(),
    UnstableEpochs(),
    DeadTraining(),
    SuspiciouslyGood(),
    ClassLeftBehind(),
    Miscalibrated(),
)

SEARCH_RULES: tuple[Rule[SearchView], ...] = (
    EdgeOfRange(),
    SelectionOptimism(),
    TooFewTrials(),
)


def diagnose_trial(view: TrialView) -> Diagnosis:
    """Apply all rules to a trial; return its verdict with all findings."""
    return judge_trial(view, TRIAL_RULES)


def diagnose_search(view: SearchView) -> SearchDiagnosis:
    """Apply all rules to a search and each of its trials."""
    return judge_search(view, TRIAL_RULES, SEARCH_RULES)
