"""What a report shows: one frozen value, read from MLflow or made by a test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ktune.diagnosis import Context, SearchDiagnosis, SearchView, TrialView
from ktune.diagnosis.verdict import Diagnosis
from ktune.trial import TrialState


@dataclass(frozen=True)
class Importance:
    """How much a hyperparameter mattered.

    Attributes:
        name: Of the parameter.
        share: Of all importance, 0 … 1.
        low: 5 % of the bootstrap draws are below.
        high: 5 % are above.
    """

    name: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class SearchReport:
    """A search with everything its report says.

    Attributes:
        name: Of the experiment.
        run_id: MLflow run of the search.
        started: Local time.
        seconds: Wall time of the whole search; None while it runs.
        ended_because: Why it ended.
        search: The trials.
        diagnosis: What the rules say of them.
        run_ids: Trial number to MLflow run.
        settings: Fields of the experiment as recorded, as text.
        command: How to run it again.
        versions: Package to version, of those results depend on most.
        machine: Operating system and processor.
        git_commit: None outside git.
        data_name: Of the data set.
        data_digest: Of its content.
        n_rows: Rows trials were judged on.
        n_test_rows: Untouched rows.
        importances: Most important first; empty: too few trials.
        refit_seconds: Wall time of the final training and test.
        model: Name and version of the registered model; "" when there is none.
    """

    name: str
    run_id: str
    started: datetime
    seconds: float | None
    ended_because: str
    search: SearchView
    diagnosis: SearchDiagnosis
    run_ids: Mapping[int, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    git_commit: str | None = None
    data_name: str = ""
    data_digest: str = ""
    n_rows: int = 0
    n_test_rows: int = 0
    importances: tuple[Importance, ...] = ()
    refit_seconds: float = 0.0
    model: str = ""

    @property
    def context(self) -> Context:
        """What all trials have in common."""
        return self.search.context

    @property
    def metric(self) -> str:
        """The objective."""
        return self.context.objective.metric

    @property
    def ranked(self) -> list[TrialView]:
        """Trials with scores, complete ones first, best first."""
        return self.search.ranked

    @property
    def best(self) -> TrialView | None:
        """The best complete trial."""
        return self.search.best

    @property
    def best_diagnosis(self) -> Diagnosis | None:
        """What the rules say of it."""
        return None if self.best is None else self.diagnosis.trials[self.best.number]

    def count(self, state: TrialState) -> int:
        """How many trials ended in a state."""
        return sum(view.result.state is state for view in self.search.trials)
