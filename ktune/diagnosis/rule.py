"""The interface of diagnosis rules, and their findings.

A rule is a class with three attributes and one method. It receives a frozen view of a
trial or a search, returns a `Finding` or None, and raises `NotApplicable` with the
reason if the view lacks data. To add a rule: one file here, one line in the table of
`ktune.diagnosis`, one test file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol, TypeVar

ViewT = TypeVar("ViewT", contravariant=True)


class Verdict(StrEnum):
    """The result of a diagnosis in one word."""

    OVERFIT = "overfit"
    UNDERFIT = "underfit"
    GOOD = "good"
    UNSTABLE = "unstable"
    FAILED = "failed"


class Severity(StrEnum):
    """The severity of a finding."""

    PROBLEM = "problem"
    """The score is unreliable, or the model should not be used."""
    WARNING = "warning"
    """Check the finding before you use the model."""
    TIP = "tip"
    """The remedy will probably improve the next search."""


@dataclass(frozen=True)
class Finding:
    """A finding of a rule.

    Attributes:
        code: Code of the rule, ``KT001`` …
        title: Title of the rule.
        severity: Severity of the finding.
        message: The observation, with numbers.
        remedy: The parameters to change, and in which direction.
        evidence: The numbers of the message, by name.
        verdict: The verdict on the trial; None: the finding does not decide.
    """

    code: str
    title: str
    severity: Severity
    message: str
    remedy: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    verdict: Verdict | None = None


class NotApplicable(Exception):
    """A rule cannot be applied to a view; the message gives the reason."""


class Rule(Protocol[ViewT]):
    """A diagnosis rule for a `TrialView` or a `SearchView`."""

    code: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity]

    def check(self, view: ViewT) -> Finding | None:
        """Return a finding, or None if there is no problem.

        Raises:
            NotApplicable: The view lacks the data that the rule needs.
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
    """Return a finding with the code, title and severity of a rule."""
    return Finding(
        code=rule.code,
        title=rule.title,
        severity=rule.severity,
        message=message,
        remedy=remedy,
        evidence=evidence,
        verdict=verdict,
    )
