"""The verdict of a trial and of a search, derived from the findings of the rules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from ktune.diagnosis.gap import measure_gap
from ktune.diagnosis.rule import Finding, NotApplicable, Rule, Severity, Verdict
from ktune.diagnosis.view import SearchView, TrialView

ViewT = TypeVar("ViewT")


PRECEDENCE = (Verdict.FAILED, Verdict.UNSTABLE, Verdict.OVERFIT, Verdict.UNDERFIT)
"""Precedence of verdicts. An unreliable score does not show the fit, and a trial with a
large gap does not underfit."""

_SEVERITIES = tuple(Severity)


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of a trial.

    Attributes:
        verdict: The verdict.
        findings: The findings, the most severe first.
        not_applicable: Code of a rule to the reason why it could not be applied.
    """

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    not_applicable: Mapping[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """The message of the deciding finding; "" for a good trial."""
        deciding = [f for f in self.findings if f.verdict is self.verdict]
        return deciding[0].message if deciding else ""


@dataclass(frozen=True)
class SearchDiagnosis:
    """The diagnosis of a search.

    Attributes:
        best: Number of the best complete trial; None: no complete trial.
        verdict: Verdict of the best trial; failed if no trial is complete.
        findings: Findings about the search, the most severe first.
        trials: Trial number to its diagnosis.
        not_applicable: Code of a search rule to the reason why it could not be applied.
    """

    best: int | None
    verdict: Verdict
    findings: tuple[Finding, ...]
    trials: Mapping[int, Diagnosis]
    not_applicable: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[Verdict, int]:
        """Number of trials with each verdict, without zeros."""
        counts = Counter(diagnosis.verdict for diagnosis in self.trials.values())
        return {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}


def judge_trial(view: TrialView, rules: Sequence[Rule[TrialView]]) -> Diagnosis:
    """Return the diagnosis of a trial by the given rules."""
    findings, not_applicable = _apply(view, rules)
    verdicts = {finding.verdict for finding in findings}
    verdict = next((v for v in PRECEDENCE if v in verdicts), Verdict.GOOD)
    return Diagnosis(verdict, findings, not_applicable)


def judge_search(
    view: SearchView,
    trial_rules: Sequence[Rule[TrialView]],
    search_rules: Sequence[Rule[SearchView]],
) -> SearchDiagnosis:
    """Return the diagnosis of a search and of each of its trials.

    The best score of the search is a reference for all its trials.
    """
    view = with_best_score(view)
    trials = {v.number: judge_trial(v, trial_rules) for v in view.trials}
    findings, not_applicable = _apply(view, search_rules)
    best = view.best
    return SearchDiagnosis(
        best=None if best is None else best.number,
        verdict=Verdict.FAILED if best is None else trials[best.number].verdict,
        findings=findings,
        trials=trials,
        not_applicable=not_applicable,
    )


def with_best_score(view: SearchView) -> SearchView:
    """Return the search with its best validation score in the context of all trials."""
    scores = [score for v in view.complete if (score := skill_of(v)) is not None]
    context = replace(view.context, best_score=max(scores, default=None))
    trials = [replace(trial, context=context) for trial in view.trials]
    return replace(view, trials=trials, context=context)


def skill_of(trial: TrialView) -> float | None:
    """Return the validation score of a complete trial; None: not comparable."""
    try:
        return float(measure_gap(trial).validation.mean())
    except NotApplicable:
        return None


def diagnosis_as_dict(diagnosis: Diagnosis | SearchDiagnosis) -> dict[str, Any]:
    """Return a diagnosis as plain values, for JSON."""
    return asdict(diagnosis)


def _apply(
    view: ViewT, rules: Sequence[Rule[ViewT]]
) -> tuple[tuple[Finding, ...], dict[str, str]]:
    findings: list[Finding] = []
    not_applicable: dict[str, str] = {}
    for rule in rules:
        try:
            finding = rule.check(view)
        except NotApplicable as reason:
            not_applicable[rule.code] = str(reason)
            continue
        if finding is not None:
            findings.append(finding)
    findings.sort(key=lambda finding: _SEVERITIES.index(finding.severity))
    return tuple(findings), not_applicable
