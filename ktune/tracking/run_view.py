"""The view of an MLflow run: a search or a trial."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ktune.metrics.ranking import Goal
from ktune.metrics.scores import Objective
from ktune.tracking import names
from ktune.trial import TrialState


@dataclass(frozen=True)
class RunView:
    """View of an MLflow run: a search or a trial.

    Attributes:
        run_id: MLflow's id.
        experiment: Name of the experiment. It is recorded by a search, since the name
            of the MLflow experiment may be changed.
        experiment_id: Its id.
        name: Name of the run.
        status: FINISHED, KILLED, FAILED or RUNNING.
        started: Local time.
        seconds: Duration; None while it is running, see `duration`.
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
    def latest(self) -> float:
        """Its end, or its start while it is running, in seconds since 1970."""
        return self.started.timestamp() + (self.seconds or 0.0)

    @property
    def is_search(self) -> bool:
        """Whether this is a search rather than a trial."""
        return self.tags.get(names.KIND) == names.SEARCH

    @property
    def is_smoke_test(self) -> bool:
        """Whether this is a search that only tried whether the experiment runs."""
        return self.tags.get(names.SMOKE_TEST) == "true"

    @property
    def defect(self) -> str:
        """The tag that keeps the run from being read; "" if there is none.

        MLflow lets people edit tags.
        """
        kind = self.tags.get(names.KIND)
        checks = {names.SEARCH: _SEARCH_TAGS, names.TRIAL: _TRIAL_TAGS}.get(kind or "")
        if checks is None:
            return f"its tag {names.KIND} is {kind!r}"
        for key, is_valid in checks.items():
            text = self.tags.get(key)
            if not is_valid(text):
                wrong = "is missing" if text is None else f"is {text[:40]!r}"
                return f"its tag {key} {wrong}"
        if names.OBJECTIVES in self.tags and not self.tags.get(names.PICK):
            return f"its tag {names.PICK} is missing"
        return ""

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
            tie_breaker = self.tags.get(names.TIE_BREAKER, "")
            return Goal((self.objective,), tie_breaker=tie_breaker)
        objectives = [_objective(*part.split()) for part in text.split(", ")]
        return Goal(tuple(objectives), self.tags[names.PICK])

    @property
    def is_on_front(self) -> bool:
        """Whether the trial is on the Pareto front of the search."""
        return self.tags.get(names.PARETO_FRONT) == "true"


def _is_direction(text: str | None) -> bool:
    return text in ("min", "max")


def _are_objectives(text: str | None) -> bool:
    parts = [] if text is None else text.split(", ")
    return all(
        len(words := part.split()) == 2 and _is_direction(words[1]) for part in parts
    )


def _are_values(text: str | None) -> bool:
    if text is None:  # too long for a tag, or of an earlier version
        return True
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


_Check = Callable[[str | None], bool]
_SEARCH_TAGS: Mapping[str, _Check] = {
    names.OBJECTIVE: bool,
    names.DIRECTION: _is_direction,
    names.OBJECTIVES: _are_objectives,
}
_STATES = {*(state.value for state in TrialState), names.INTERRUPTED}
_TRIAL_TAGS: Mapping[str, _Check] = {
    names.PARENT: bool,
    names.TRIAL_NUMBER: lambda text: text is not None and text.isdecimal(),
    names.STATE: lambda text: text in _STATES,
    names.VALUES: _are_values,
}


def _objective(metric: str, direction: str) -> Objective:
    return Objective(metric, "min" if direction == "min" else "max")


def duration(start: int | None, end: int | None) -> float | None:
    """Return the seconds between two times of MLflow in milliseconds.

    Returns:
        None while the run is running, or if a clock that was set back makes it end
        before its start.
    """
    return (end - start) / 1000 if start and end and end >= start else None
