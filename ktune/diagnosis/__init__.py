"""Does it overfit? Rules that read a finished trial or search, and one verdict.

| code | question | decides | class |
|---|---|---|---|
| KT001 | does training beat validation by more than noise? | overfit | `Overfitting` |
| KT002 | does validation loss turn up while training falls? | | `TurningUp` |
| KT003 | does it fail to fit even its training rows? | underfit | `Underfitting` |
| KT004 | was it still improving when the epochs ran out? | | `StillImproving` |
| KT005 | do the folds disagree? | unstable | `UnstableFolds` |
| KT006 | does training jump about or diverge? | unstable | `UnstableEpochs` |
| KT007 | is the model constant, or did training break off? | failed, underfit | \
`DeadTraining` |
| KT008 | is it better than it can honestly be? | | `SuspiciouslyGood` |
| KT009 | is one class far behind the others? | | `ClassLeftBehind` |
| KT010 | are probabilities not what they say? | | `Miscalibrated` |
| KT011 | does the best value lie at the edge of its range? | | `EdgeOfRange` |
| KT012 | is the test score worse than what was promised? | | `SelectionOptimism` |
| KT013 | were there too few trials? | | `TooFewTrials` |

KT001 to KT010 look at a trial, the others at a search. Where rules disagree the order
is failed, unstable, overfit, underfit; a trial none of them speaks of is good.

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
    """Ask every rule about a trial and return its verdict with all findings."""
    return judge_trial(view, TRIAL_RULES)


def diagnose_search(view: SearchView) -> SearchDiagnosis:
    """Ask every rule about a search and each of its trials."""
    return judge_search(view, TRIAL_RULES, SEARCH_RULES)
