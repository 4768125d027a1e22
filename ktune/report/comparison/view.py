"""What a comparison shows, as frozen plain data."""

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
        label: Short and unique in the comparison: a letter and what it is.
        run_id: MLflow run of the trial.
        experiment: Name of the experiment.
        search_id: MLflow run of its search.
        view: The trial.
        diagnosis: What the rules say of it.
        data_digest: Of the data it was judged on.
        data_name: Of these data.
        folds_digest: Of the assignment of rows to folds.
        test: Test scores of its search, if this is the trial that was refitted.
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
    """A contender against the first one.

    Attributes:
        first: Label of the first contender.
        other: Label of the other.
        difference: Other minus first; None when a comparison means nothing.
        p_adjusted: Its p-value, adjusted for there being several duels.
        note: Why it is unpaired or means nothing; "" for a paired test.
        conclusion: In words.
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
        contenders: In the order named.
        objective: What they are compared by.
        metrics: Those all of them have, the objective first.
        duels: Each other contender against the first.
        warnings: What to know before reading on.
    """

    contenders: Sequence[Contender]
    objective: Objective
    metrics: Sequence[str]
    duels: Sequence[Duel]
    warnings: Sequence[str]

    def differing_values(self) -> dict[str, list[Value | None]]:
        """Return hyperparameters that are not the same everywhere, by name."""
        names = dict.fromkeys(n for c in self.contenders for n in c.view.trial.values)
        rows = {
            name: [c.view.trial.values.get(name) for c in self.contenders]
            for name in names
        }
        return {n: row for n, row in rows.items() if any(v != row[0] for v in row)}
