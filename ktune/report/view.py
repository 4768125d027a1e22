"""The data of a report: frozen views, read from MLflow or built by a test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ktune.diagnosis import Context, SearchDiagnosis, SearchView, TrialView
from ktune.diagnosis.verdict import Diagnosis
from ktune.metrics.intervals import Estimate
from ktune.tracking.final_record import FinalRecord
from ktune.trial import TrialState


@dataclass(frozen=True)
class Importance:
    """The importance of a hyperparameter.

    Attributes:
        name: Name of the parameter.
        share: Share of the total importance, 0 … 1.
        low: 5 % quantile of the bootstrap.
        high: 95 % quantile of the bootstrap.
    """

    name: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class SearchReport:
    """A search with all data of its report.

    Attributes:
        name: Name of the experiment.
        run_id: MLflow run of the search.
        started: Local time.
        seconds: Wall time of the whole search; None while it runs.
        ended_because: Reason for the end of the search.
        search: The trials.
        diagnosis: Diagnosis of the search and its trials.
        run_ids: Trial number to MLflow run.
        settings: Recorded fields of the experiment, as text.
        command: Command line that runs the search again.
        versions: Package to version, for the packages in `KEY_PACKAGES`.
        machine: Operating system and processor.
        git_commit: Commit of the experiment; None outside git.
        data_name: Name of the data set.
        data_digest: Digest of its content.
        n_rows: Number of rows for training and validation.
        n_test_rows: Number of untouched test rows.
        importances: Most important first; empty: too few trials.
        refit_seconds: Wall time of the refit and the test.
        model: Name and version of the registered model; "" if there is none.
        final: The final model; None: only the best trial was considered.
        final_test: Its test scores; those of ``search`` are of the best trial alone.
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
    final: FinalRecord | None = None
    final_test: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        """The context of all trials."""
        return self.search.context

    @property
    def metric(self) -> str:
        """The metric of the first objective."""
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
        """The diagnosis of the best complete trial."""
        return None if self.best is None else self.diagnosis.trials[self.best.number]

    def count(self, state: TrialState) -> int:
        """Return the number of trials in a state."""
        return sum(view.result.state is state for view in self.search.trials)
