"""The door for diagnosis rules: one question about a trial or a search, one finding.

A rule is a class with a few attributes and one method. It sees a frozen view of plain
data, answers with a `Finding` or None, and raises `NotApplicable` with the reason when
the data cannot answer its question. To add one: one file here, one line in the table
of `ktune.diagnosis`, one test file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol, TypeVar

ViewT = TypeVar("ViewT", contravariant=True)


class Verdict(StrEnum):
    """What a trial is, in one word."""

    OVERFIT = "overfit"
    UNDERFIT = "underfit"
    GOOD = "good"
    UNSTABLE = "unstable"
    FAILED = "failed"


class Severity(StrEnum):
    """How much a finding matters."""

    PROBLEM = "problem"
    """The trial's score should not be relied on, or the model not be used."""
    WARNING = "warning"
    """Look before you use it."""
    TIP = "tip"
    """Something that is likely to make the next search better."""


@dataclass(frozen=True)
class Finding:
    """What a rule has found.

    Attributes:
        code: Of the rule, ``KT001`` …
        title: Of the rule.
        severity: How much it matters.
        message: What was seen, with numbers.
        remedy: What to do: which parameter, in which direction.
        evidence: The numbers of the message, by name.
        verdict: What the finding makes of the trial; None: it does not decide.
    """

    code: str
    title: str
    severity: Severity
    message: str
    remedy: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    verdict: Verdict | None = None


class NotApplicable(Exception):
    """The data cannot answer the question of a rule; the text says why."""


class Rule(Protocol[ViewT]):
    """One question about a `TrialView` or a `SearchView`."""

    code: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity]

    def check(self, view: ViewT) -> Finding | None:
        """Return what was found, or None when everything is in order.

        Raises:
            NotApplicable: The view does not hold what the question needs.
        """
        ...


def finding(
    rule: Rule[ViewT],
    message: str,
    remedy: str,
    *,
    verdict: Verdict | None = None,
    **evidence: float,
) -> Finding:
    """Return a finding that carries the rule's code, title and severity."""
    return Finding(
        code=rule.code,
        title=rule.title,
        severity=rule.severity,
        message=message,
        remedy=remedy,
        evidence=evidence,
        verdict=verdict,
    )
