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
from ktune.data.model_inputs import are_by_position, names_from
from ktune.data.nest import row_shapes
from ktune.data.preprocessing import PreparedFold, prepare_folds
from ktune.errors import ExperimentError
from ktune.evaluation.model_builder import ModelBuilder
from ktune.experiment.experiment import Experiment, override
from ktune.metrics.objectives import objective_of_task, of_predictions
from ktune.metrics.proper_scores import tie_breaker
from ktune.metrics.ranking import Goal
from ktune.metrics.scores import (
    COSTS,
    LOSS,
    Objective,
    canonical_name,
    metrics_of_task,
)
from ktune.spaces.hyperparameters import default_values

DEFAULT_OBJECTIVE = {
    Task.BINARY: "accuracy",
    Task.MULTICLASS: "accuracy",
    Task.MULTILABEL: "f1_macro",
    Task.REGRESSION: "rmse",
    Task.CUSTOM: LOSS,
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
    partition = _with_names_of_inputs(experiment, dataset, partition)
    folds = prepare_folds(partition, experiment.preprocess, dataset.kind)
    data = _description(dataset, partition, folds[0].x)
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
    goals = tuple(objective_of_task(given, task) for given in objectives)
    return Goal(
        goals,
        experiment.chosen_pick,
        tie_breaker="" if len(goals) > 1 else tie_breaker(goals[0].metric, task),
    )


def _metrics(experiment: Experiment, task: Task, goal: Goal) -> tuple[str, ...]:
    if task is Task.CUSTOM:
        _require_no_metrics(experiment)
        return ()
    names = [canonical_name(name) for name in experiment.metrics]
    further = [o.metric for o in goal.objectives[1:] if o.metric not in COSTS]
    further = list(of_predictions(further))
    return metrics_of_task(task, (*names, *further))


def _require_no_metrics(experiment: Experiment) -> None:
    if experiment.metrics:
        raise ExperimentError(
            f"`metrics` is {list(experiment.metrics)!r}, but a custom task is "
            "scored by the metrics of the model: name them in `build`, "
            "model.compile(…, metrics=[…]). Leave `metrics` out."
        )


def _description(dataset: Dataset, partition: Partition, x: Inputs) -> DataDescription:
    return DataDescription(
        name=dataset.name,
        task=dataset.task,
        input_shape=input_shape(x),
        n_outputs=dataset.n_outputs,
        n_rows=len(partition.y),
        class_names=dataset.class_names,
        target_shape=row_shapes(dataset.y) if dataset.task is Task.CUSTOM else (),
    )


def _with_names_of_inputs(
    experiment: Experiment, dataset: Dataset, partition: Partition
) -> Partition:
    """Return features that were given as a list under the names of the model."""
    x, x_test = partition.x, partition.x_test
    if not isinstance(x, Mapping) or not are_by_position(x):
        return partition
    builder = ModelBuilder(experiment, _description(dataset, partition, x))
    try:
        model = builder.model(default_values(builder.declare))
    except Exception:  # reported with its place by the pre-flight
        return partition
    names = names_from(model, list(x))

    def renamed(rows: Any) -> Any:
        return dict(zip(names, rows.values(), strict=True))

    return replace(
        partition, x=renamed(x), x_test=None if x_test is None else renamed(x_test)
    )
