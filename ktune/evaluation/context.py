"""The context of a search: its experiment bound to data, folds and model builder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktune.data.dataset import (
    EXAMPLE_ROWS,
    DataDescription,
    Dataset,
    Inputs,
    Kind,
    Task,
    input_shape,
    take_rows,
)
from ktune.data.folds import Partition, reshuffle
from ktune.data.preprocessing import PreparedFold, prepare_folds
from ktune.errors import ExperimentError
from ktune.evaluation.model_builder import ModelBuilder
from ktune.experiment.experiment import Experiment, override
from ktune.metrics.objectives import make_objective, of_predictions
from ktune.metrics.proper_scores import tie_breaker
from ktune.metrics.ranking import Goal
from ktune.metrics.scores import (
    COSTS,
    Objective,
    canonical_name,
    metrics_of_task,
)

DEFAULT_OBJECTIVE = {
    Task.BINARY: "accuracy",
    Task.MULTICLASS: "accuracy",
    Task.MULTILABEL: "f1_macro",
    Task.REGRESSION: "rmse",
}


@dataclass(frozen=True, eq=False)
class SearchContext:
    """An experiment bound to its data; it stays in a worker from trial to trial.

    Attributes:
        experiment: The experiment, all options applied.
        kind: Kind of the features.
        data_digest: Hash of the data.
        partition: The data, split.
        folds: The folds, preprocessed.
        builder: Makes models and fit settings from values.
        goal: All objectives, and how one trial is picked.
        metrics: All metrics that are recorded, without ``loss``.
        reading: Format of the table's file; see `Dataset.reading`.
    """

    experiment: Experiment
    kind: Kind
    data_digest: str
    partition: Partition
    folds: tuple[PreparedFold, ...]
    builder: ModelBuilder
    goal: Goal
    metrics: tuple[str, ...]
    reading: Mapping[str, Any] | None = None

    @property
    def objective(self) -> Objective:
        """The first objective: it decides the best epoch of a trial."""
        return self.goal.first

    @property
    def data(self) -> DataDescription:
        """Task and shape of the data for the model."""
        return self.builder.data

    @property
    def recorded_metrics(self) -> tuple[str, ...]:
        """All metrics, including the objective."""
        return tuple(dict.fromkeys([*self.metrics, self.objective.metric]))

    @property
    def example(self) -> Inputs:
        """A few raw rows as an input example of the registered model."""
        return take_rows(self.partition.x, np.arange(EXAMPLE_ROWS))

    def with_changes(self, changes: Mapping[str, Any]) -> "SearchContext":
        """Return the context with fields of its experiment replaced."""
        experiment = override(self.experiment, changes)
        builder = replace(self.builder, experiment=experiment)
        goal = _goal(experiment, self.data.task)
        return replace(self, experiment=experiment, builder=builder, goal=goal)

    def reshuffled(self, seed: int) -> Partition:
        """Return the rows in other folds of the same kind."""
        experiment = self.experiment
        return reshuffle(
            self.partition,
            cv=experiment.cv,
            task=self.data.task,
            stratify=experiment.stratify,
            seed=seed,
        )


def make_context(
    experiment: Experiment, dataset: Dataset, partition: Partition
) -> SearchContext:
    """Preprocess the folds and bind the experiment to them.

    Raises:
        ExperimentError: A field of the experiment does not fit the data.
    """
    if experiment.threshold is not None and dataset.task is not Task.BINARY:
        raise ExperimentError(
            f"`threshold` is for two classes; {dataset.name} is a {dataset.task} task. "
            "Remove it."
        )
    folds = prepare_folds(partition, experiment.preprocess, dataset.kind)
    data = DataDescription(
        name=dataset.name,
        task=dataset.task,
        input_shape=input_shape(folds[0].x),
        n_outputs=dataset.n_outputs,
        n_rows=len(partition.y),
        class_names=dataset.class_names,
    )
    goal = _goal(experiment, dataset.task)
    context = SearchContext(
        experiment=experiment,
        kind=dataset.kind,
        data_digest=dataset.digest,
        partition=partition,
        folds=folds,
        builder=ModelBuilder(experiment, data),
        goal=goal,
        metrics=_metrics(experiment, dataset.task, goal),
        reading=dataset.reading,
    )
    if experiment.reshuffle:  # fail before the first trial if a splitter cannot
        context.reshuffled(seed=0)
    return context


def _goal(experiment: Experiment, task: Task) -> Goal:
    objectives = experiment.objectives or (DEFAULT_OBJECTIVE[task],)
    first = make_objective(objectives[0]).metric
    return Goal(
        tuple(map(make_objective, objectives)),
        experiment.chosen_pick,
        tie_breaker="" if len(objectives) > 1 else tie_breaker(first, task),
    )


def _metrics(experiment: Experiment, task: Task, goal: Goal) -> tuple[str, ...]:
    names = [canonical_name(name) for name in experiment.metrics]
    further = [o.metric for o in goal.objectives[1:] if o.metric not in COSTS]
    further = list(of_predictions(further))
    return metrics_of_task(task, (*names, *further))
