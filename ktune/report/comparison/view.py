"""The data of a comparison: frozen views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ktune.diagnosis import Diagnosis, TrialView
from ktune.metrics.intervals import Estimate
from ktune.metrics.scores import Objective
from ktune.report.comparison.paired_test import Difference
from ktune.trial import Value

MOST_CONTENDERS = 8


@dataclass(frozen=True)
class Contender:
    """One trial of a comparison.

    Attributes:
        label: Short unique name: a letter, the experiment and the trial number.
        run_id: MLflow run of the trial.
        experiment: Name of the experiment.
        search_id: MLflow run of its search.
        view: The trial.
        diagnosis: Diagnosis of the trial.
        data_digest: Digest of the data set.
        data_name: Name of the data set.
        folds_digest: Digest of the assignment of rows to folds.
        test: Test scores of its search, if this trial was refitted.
        latency_ms: Time to predict one row; None: not measured.
    """

    label: str
    run_id: str
    experiment: str
    search_id: str
    view: TrialView
    diagnosis: Diagnosis
    data_digest: str
    data_name: str
    folds_digest: str
    test: Mapping[str, Estimate]
    latency_ms: float | None = None


@dataclass(frozen=True)
class Duel:
    """The test of a contender against the first one.

    Attributes:
        first: Label of the first contender.
        other: Label of the other contender.
        difference: Other minus first; None if no test is possible.
        p_adjusted: Its p-value, adjusted for multiple tests.
        note: The reason for an unpaired or impossible test; "" for a paired test.
        conclusion: The result as a sentence.
    """

    first: str
    other: str
    difference: Difference | None
    p_adjusted: float | None
    note: str
    conclusion: str


@dataclass(frozen=True)
class Comparison:
    """Two to eight trials side by side.

    Attributes:
        contenders: The trials, in the order of the references.
        objective: The objective of the tests.
        metrics: Metrics of all contenders, the objective first.
        duels: The tests of the other contenders against the first.
        warnings: Differences between the searches that affect the comparison.
    """

    contenders: Sequence[Contender]
    objective: Objective
    metrics: Sequence[str]
    duels: Sequence[Duel]
    warnings: Sequence[str]

    def differing_values(self) -> dict[str, list[Value | None]]:
        """Return the hyperparameters whose values differ, by name."""
        names = dict.fromkeys(n for c in self.contenders for n in c.view.trial.values)
        rows = {
            name: [c.view.trial.values.get(name) for c in self.contenders]
            for name in names
        }
        return {n: row for n, row in rows.items() if any(v != row[0] for v in row)}
