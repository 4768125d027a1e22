"""The view of an MLflow run: a search or a trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ktune.metrics.ranking import Goal
from ktune.metrics.scores import Objective
from ktune.tracking import names


@dataclass(frozen=True)
class RunView:
    """View of an MLflow run: a search or a trial.

    Attributes:
        run_id: MLflow's id.
        experiment: Name of the MLflow experiment.
        experiment_id: Its id.
        name: Name of the run.
        status: FINISHED, KILLED, FAILED or RUNNING.
        started: Local time.
        seconds: Duration; None while it is running.
        tags: Tag name to text.
        params: Parameter name to text.
        metrics: Last value of each metric.
        artifact_uri: Location of its files.
    """

    run_id: str
    experiment: str
    experiment_id: str
    name: str
    status: str
    started: datetime
    seconds: float | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    artifact_uri: str = ""

    @property
    def is_search(self) -> bool:
        """Whether this is a search rather than a trial."""
        return self.tags.get(names.KIND) == names.SEARCH

    @property
    def number(self) -> int:
        """Number of the trial."""
        return int(self.tags[names.TRIAL_NUMBER])

    @property
    def state(self) -> str:
        """State of the trial: complete, pruned or failed."""
        return self.tags.get(names.STATE, "")

    @property
    def objective(self) -> Objective:
        """The first objective of the search."""
        return _objective(self.tags[names.OBJECTIVE], self.tags[names.DIRECTION])

    @property
    def goal(self) -> Goal:
        """All objectives of the search, and the rule that picks a trial."""
        text = self.tags.get(names.OBJECTIVES)
        if text is None:
            return Goal((self.objective,))
        objectives = [_objective(*part.split()) for part in text.split(", ")]
        return Goal(tuple(objectives), self.tags[names.PICK])

    @property
    def is_on_front(self) -> bool:
        """Whether the trial is on the Pareto front of the search."""
        return self.tags.get(names.PARETO_FRONT) == "true"


def _objective(metric: str, direction: str) -> Objective:
    return Objective(metric, "min" if direction == "min" else "max")
