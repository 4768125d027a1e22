"""From findings to one word: the verdict of a trial, and of a search."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from ktune.diagnosis.measures import measure_gap
from ktune.diagnosis.rule import Finding, NotApplicable, Rule, Severity, Verdict
from ktune.diagnosis.view import SearchView, TrialView

ViewT = TypeVar("ViewT")


PRECEDENCE = (Verdict.FAILED, Verdict.UNSTABLE, Verdict.OVERFIT, Verdict.UNDERFIT)
"""Which verdict wins. A score that cannot be trusted says nothing about fit, and a
large gap means that training has fitted something."""

_SEVERITIES = tuple(Severity)


@dataclass(frozen=True)
class Diagnosis:
    """What the rules say of a trial.

    Attributes:
        verdict: In one word.
        findings: The most severe first.
        not_applicable: Code of a rule to why it could not answer.
    """

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    not_applicable: Mapping[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """The message of the finding that decided; "" for a good trial."""
        deciding = [f for f in self.findings if f.verdict is self.verdict]
        return deciding[0].message if deciding else ""


@dataclass(frozen=True)
class SearchDiagnosis:
    """What the rules say of a search.

    Attributes:
        best: Number of the best complete trial; None: there is none.
        verdict: Of the best trial; failed when no trial is complete.
        findings: About the search as a whole, the most severe first.
        trials: Trial number to its diagnosis.
        not_applicable: Code of a rule about searches to why it could not answer.
    """

    best: int | None
    verdict: Verdict
    findings: tuple[Finding, ...]
    trials: Mapping[int, Diagnosis]
    not_applicable: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many trials have each verdict; verdicts nobody has are left out."""
        counts = Counter(diagnosis.verdict for diagnosis in self.trials.values())
        return {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}


def judge_trial(view: TrialView, rules: Sequence[Rule[TrialView]]) -> Diagnosis:
    """Return the diagnosis of a trial by the given rules."""
    findings, not_applicable = _ask(view, rules)
    said = {found.verdict for found in findings}
    verdict = next((v for v in PRECEDENCE if v in said), Verdict.GOOD)
    return Diagnosis(verdict, findings, not_applicable)


def judge_search(
    view: SearchView,
    trial_rules: Sequence[Rule[TrialView]],
    search_rules: Sequence[Rule[SearchView]],
) -> SearchDiagnosis:
    """Return the diagnosis of a search and of each of its trials.

    Trials are judged in the light of the whole search: what the best of them reaches
    is known to be reachable.
    """
    view = with_best_score(view)
    trials = {v.number: judge_trial(v, trial_rules) for v in view.trials}
    findings, not_applicable = _ask(view, search_rules)
    best = view.best
    return SearchDiagnosis(
        best=None if best is None else best.number,
        verdict=Verdict.FAILED if best is None else trials[best.number].verdict,
        findings=findings,
        trials=trials,
        not_applicable=not_applicable,
    )


def with_best_score(view: SearchView) -> SearchView:
    """Return the search with the best validation score known to all its trials."""
    scores = [score for v in view.complete if (score := skill_of(v)) is not None]
    context = replace(view.context, best_score=max(scores, default=None))
    trials = [replace(trial, context=context) for trial in view.trials]
    return replace(view, trials=trials, context=context)


def skill_of(trial: TrialView) -> float | None:
    """Return what a complete trial reaches in validation; None: not comparable."""
    try:
        return float(measure_gap(trial).validation.mean())
    except NotApplicable:
        return None


def diagnosis_as_dict(diagnosis: Diagnosis | SearchDiagnosis) -> dict[str, Any]:
    """Return a diagnosis as plain values, for JSON."""
    return asdict(diagnosis)


def _ask(
    view: ViewT, rules: Sequence[Rule[ViewT]]
) -> tuple[tuple[Finding, ...], dict[str, str]]:
    findings: list[Finding] = []
    not_applicable: dict[str, str] = {}
    for rule in rules:
        try:
            found = rule.check(view)
        except NotApplicable as reason:
            not_applicable[rule.code] = str(reason)
            continue
        if found is not None:
            findings.append(found)
    findings.sort(key=lambda found: _SEVERITIES.index(found.severity))
    return tuple(findings), not_applicable
