"""Evaluate one trial: train its folds in step, judge it, and say what was found.

`evaluate_trial` is the unit of work of ktune. It writes nothing and asks nobody but
the ``report`` it is given, so it runs in this process, another one, or elsewhere.
"""

import functools
import gc
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ktune.data.dataset import (
    DataDescription,
    Dataset,
    Kind,
    Task,
    input_shape,
)
from ktune.data.folds import Partition, reshuffle
from ktune.data.preprocessing import PreparedFold, prepare_folds
from ktune.data.resampling import resample_fold
from ktune.errors import ExperimentError, OutOfMemory
from ktune.evaluation.costs import check_costs, check_memory, objective_scores
from ktune.evaluation.epoch_history import EpochHistory
from ktune.evaluation.fold_racing import FoldRacing
from ktune.evaluation.model_builder import ModelBuilder
from ktune.evaluation.shared_training import (
    Connection,
    SharedTraining,
    describe,
    part_of,
    release_workers,
    train_for_leader,
)
from ktune.experiment.experiment import Experiment
from ktune.experiment.fit_settings import FitSettings
from ktune.metrics.ranking import Goal
from ktune.metrics.scores import (
    COSTS,
    LOSS,
    Objective,
    canonical_name,
    confusion_matrix,
    make_objective,
    metrics_of_task,
    predicted_classes,
)
from ktune.protocols import Report, Training, TrainingTask, Work
from ktune.trainers import choose_trainer
from ktune.trial import EpochReport, Trial, TrialResult, TrialState
from ktune.utils.runtime import set_determinism
from ktune.utils.seeds import derive_seed

DEFAULT_OBJECTIVE = {
    Task.BINARY: "accuracy",
    Task.MULTICLASS: "accuracy",
    Task.MULTILABEL: "f1_macro",
    Task.REGRESSION: "rmse",
}


@dataclass(frozen=True, eq=False)
class SearchContext:
    """What stays in a worker from trial to trial: data, folds and recipe.

    Attributes:
        experiment: What is searched.
        kind: What the features are.
        partition: The data, split.
        folds: The folds, preprocessed.
        builder: Makes models and fit settings from values.
        objective: What a trial is judged by.
        metrics: All metrics that are recorded, without ``loss``.
        further: Objectives beside the one that leads.
    """

    experiment: Experiment
    kind: Kind
    partition: Partition
    folds: tuple[PreparedFold, ...]
    builder: ModelBuilder
    objective: Objective
    metrics: tuple[str, ...]
    further: tuple[Objective, ...] = ()

    @property
    def goal(self) -> Goal:
        """All objectives, and how one trial is taken."""
        pick = self.experiment.chosen_pick
        return Goal((self.objective, *self.further), pick)

    @property
    def data(self) -> DataDescription:
        """Task and shape of the data, as the model sees them."""
        return self.builder.data

    @property
    def recorded_metrics(self) -> tuple[str, ...]:
        """The metrics and the objective, which may be one more."""
        return tuple(dict.fromkeys([*self.metrics, self.objective.metric]))


def make_context(
    experiment: Experiment, dataset: Dataset, partition: Partition
) -> SearchContext:
    """Preprocess the folds and get everything ready that trials share.

    Raises:
        ExperimentError: A field of the experiment does not fit the data.
    """
    if experiment.threshold is not None and dataset.task is not Task.BINARY:
        raise ExperimentError(
            f"`threshold` is for two classes; {dataset.name} is a {dataset.task} task. "
            "Leave it out."
        )
    if experiment.reshuffle:  # find out now whether it can be
        reshuffle_by(experiment, dataset.task, partition, seed=0)
    folds = prepare_folds(partition, experiment.preprocess, dataset.kind)
    data = DataDescription(
        name=dataset.name,
        task=dataset.task,
        input_shape=input_shape(folds[0].x),
        n_outputs=dataset.n_outputs,
        n_rows=len(partition.y),
        class_names=dataset.class_names,
    )
    names = experiment.objectives or (DEFAULT_OBJECTIVE[dataset.task],)
    objective, *further = (make_objective(name) for name in names)
    extra = [canonical_name(name) for name in experiment.metrics]
    extra += [o.metric for o in further if o.metric not in (*COSTS, LOSS)]
    return SearchContext(
        experiment=experiment,
        kind=dataset.kind,
        partition=partition,
        folds=folds,
        builder=ModelBuilder(experiment, data),
        objective=objective,
        metrics=metrics_of_task(dataset.task, tuple(extra)),
        further=tuple(further),
    )


def evaluate_trial(
    context: SearchContext,
    trial: Trial,
    report: Report = lambda _: True,
    workers: Sequence[Connection] = (),
) -> TrialResult:
    """Train and judge one trial; never raises for what is wrong with the trial.

    Args:
        context: What trials share.
        trial: The values to evaluate.
        report: Called after every epoch, or fold where folds race; its answer False
            stops the trial.
        workers: Lines to processes that each do their part, see `train_part`.

    Returns:
        A result in state complete, pruned (stopped by ``report``) or failed.
    """
    started = time.perf_counter()
    try:
        result = _train_and_judge(context, trial, report, workers)
    except (Exception, SystemExit) as error:
        result = TrialResult(TrialState.FAILED, failure=describe(error))
    return replace(result, seconds=time.perf_counter() - started)


def train_part(
    context: SearchContext, trial: Trial, part: int, n_parts: int, leader: Connection
) -> None:
    """Train some folds of a trial that another process evaluates.

    Args:
        context: What trials share.
        trial: The values to train with.
        part: Which of the parts, from 1; the first one, 0, is the captain's.
        n_parts: Into how many the folds are parted; no more than there are folds.
        leader: The line to it.
    """

    def start() -> Training:
        set_determinism(context.experiment.deterministic)
        task = part_of(_make_task(context, trial), part, n_parts)
        return choose_trainer(context.experiment.trainer, task).start(task)

    train_for_leader(start, leader)


def work_with(context: SearchContext) -> Work:
    """Return what an executor does with trials.

    Folds that race are trained one after another, so nobody can help with them.
    """
    return Work(
        evaluate=functools.partial(evaluate_trial, context),
        help=functools.partial(train_part, context),
        most_parts=1 if context.experiment.races else len(context.folds),
    )


def folds_of(context: SearchContext, trial: Trial) -> tuple[PreparedFold, ...]:
    """Return the folds of a trial: those of the search, or its own if reshuffled.

    Source:
        Nagler et al., Reshuffling Resampling Splits Can Improve Generalization of
        Hyperparameter Optimization, NeurIPS 2024, arXiv 2405.15393.
    """
    experiment = context.experiment
    if not experiment.reshuffle:
        return context.folds
    seed = derive_seed(experiment.seed, "reshuffle", trial.number)
    partition = reshuffle_by(
        experiment, context.data.task, context.partition, seed=seed
    )
    return prepare_folds(partition, experiment.preprocess, context.kind)


def reshuffle_by(
    experiment: Experiment, task: Task, partition: Partition, *, seed: int
) -> Partition:
    """Return the rows in other folds, made as the experiment says."""
    cv, stratify = experiment.cv, experiment.stratify
    return reshuffle(partition, cv=cv, task=task, stratify=stratify, seed=seed)


def fold_seeds(trial: Trial, folds: tuple[PreparedFold, ...]) -> tuple[int, ...]:
    """Return the seed of every fold: it depends on trial and fold alone."""
    return tuple(derive_seed(trial.seed, fold.index) for fold in folds)


def _train_and_judge(
    context: SearchContext, trial: Trial, report: Report, workers: Sequence[Connection]
) -> TrialResult:
    """Evaluate a trial; where memory does not suffice, once more with half a batch."""
    try:
        return _attempt(context, trial, report, workers)
    except Exception as error:
        smaller = _with_half_batch(context, trial)
        if smaller is None or describe(error).kind != OutOfMemory.__name__:
            raise
    # Only out here has the first attempt given back what it held.
    release_workers(workers)
    gc.collect()
    result = _attempt(context, smaller, report, ())
    return replace(result, batch_size=smaller.batch_size)


def _with_half_batch(context: SearchContext, trial: Trial) -> Trial | None:
    """Return the trial that is tried instead; None: none is."""
    if not context.experiment.retry_half_batch or trial.batch_size:
        return None
    asked = context.builder.settings(trial.values).batch_size
    return replace(trial, batch_size=asked // 2) if asked > 1 else None


def _attempt(
    context: SearchContext, trial: Trial, report: Report, workers: Sequence[Connection]
) -> TrialResult:
    set_determinism(context.experiment.deterministic)
    task = _make_task(context, trial)
    latency = check_costs(context, task)
    if context.experiment.races:
        result = _train_in_turn(context, task, trial, report)
    else:
        result = _train_in_step(context, task, trial, report, workers)
    result = replace(result, latency_ms=latency)
    return replace(result, scores=objective_scores(context.goal, result))


def _make_task(context: SearchContext, trial: Trial) -> TrainingTask:
    settings = context.builder.settings_of(trial)
    folds = folds_of(context, trial)
    seeds = fold_seeds(trial, folds)
    available = context.builder.memory()

    def build() -> Any:
        model = context.builder.model(trial.values)
        check_memory(model, task, available, jobs=context.experiment.jobs or 1)
        return model

    task = TrainingTask(
        build=build,
        folds=[
            resample_fold(
                fold,
                settings.resample,
                seed=seed,
                is_classification=context.data.task.is_classification,
            )
            for fold, seed in zip(folds, seeds, strict=True)
        ],
        settings=settings,
        seeds=seeds,
        data=context.data,
        fit=context.builder.fit(trial.values),
    )
    return task


def _train_in_step(
    context: SearchContext,
    task: TrainingTask,
    trial: Trial,
    report: Report,
    workers: Sequence[Connection],
) -> TrialResult:
    """Advance all folds together, epoch by epoch."""
    book = _open_book(context, task, len(task.folds))
    own = part_of(task, 0, 1 + len(workers)) if workers else task
    trainer = choose_trainer(context.experiment.trainer, own)
    training: Training = trainer.start(own)
    if workers:
        training = SharedTraining(training, workers)
    try:
        state = _train_epochs(training, book, trial, task.settings, report)
        result = _result(context, book, training, state)
        return replace(result, trainer=trainer.name)
    finally:
        training.close()


def _train_in_turn(
    context: SearchContext, task: TrainingTask, trial: Trial, report: Report
) -> TrialResult:
    """Train one fold after another, and see after each whether the trial goes on."""
    names: list[str] = []

    def start(alone: TrainingTask) -> Training:
        trainer = choose_trainer(context.experiment.trainer, alone)
        names.append(trainer.name)
        return trainer.start(alone)

    race = FoldRacing(task, start, context.objective)
    try:
        state = _race(race, trial, len(task.folds), report)
        book = _open_book(context, task, race.n_folds)
        race.fill(book)
        return replace(_result(context, book, race.first, state), trainer=names[0])
    finally:
        race.close()


def _race(race: FoldRacing, trial: Trial, n_folds: int, report: Report) -> TrialState:
    scores: list[float] = []
    for index in range(n_folds):
        scores.append(race.run_fold())
        mean = float(np.mean(scores))
        said = EpochReport(trial.number, index, n_folds, mean, unit="fold")
        if not report(said) and index < n_folds - 1:
            return TrialState.PRUNED
    return TrialState.COMPLETE


def _open_book(
    context: SearchContext, task: TrainingTask, n_folds: int
) -> EpochHistory:
    """Return an empty book for the first so many folds."""
    return EpochHistory(
        task.folds[:n_folds],
        task=context.data.task,
        metrics=context.metrics,
        objective=context.objective,
        takes_last_epoch=task.settings.early_stopping is False,
    )


def _train_epochs(
    training: Training,
    book: EpochHistory,
    trial: Trial,
    settings: FitSettings,
    report: Report,
) -> TrialState:
    """Advance all folds to the last epoch, early stopping, or a stop from outside."""
    for epoch in range(settings.epochs):
        value = book.add(training.run_epoch())
        if not report(EpochReport(trial.number, epoch, settings.epochs, value)):
            is_last = epoch == settings.epochs - 1
            return TrialState.COMPLETE if is_last else TrialState.PRUNED
        patience = settings.early_stopping
        if patience is not False and book.epochs_since_best() >= patience:
            break
        if training.wants_to_stop:
            break
    return TrialState.COMPLETE


def _result(
    context: SearchContext, book: EpochHistory, training: Training, state: TrialState
) -> TrialResult:
    out_of_fold = book.out_of_fold()
    return TrialResult(
        state=state,
        score=book.best_value,
        best_epoch=book.best_epoch,
        epochs=book.n_epochs,
        folds=book.fold_results(),
        curves=book.curves(),
        n_parameters=training.n_parameters,
        summary=training.summary,
        out_of_fold=_pack(out_of_fold, context.data.task),
        confusion=_confusion(out_of_fold, context.data),
    )


def _pack(arrays: dict[str, np.ndarray], task: Task) -> bytes:
    """Pack out-of-fold predictions; three digits of a probability are plenty."""
    if task is not Task.REGRESSION:
        arrays = {**arrays, "prediction": arrays["prediction"].astype(np.float16)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _confusion(
    out_of_fold: dict[str, np.ndarray], data: DataDescription
) -> tuple[tuple[int, ...], ...]:
    if not data.task.is_classification:
        return ()
    predicted = predicted_classes(out_of_fold["prediction"], data.task)
    counts = confusion_matrix(out_of_fold["target"], predicted, data.n_outputs)
    return tuple(tuple(int(count) for count in row) for row in counts)
