"""Evaluate one trial: train its folds, score it, and return its result.

`evaluate_trial` is the unit of work of ktune. It writes nothing and calls only its
``report`` argument, so it can run in any process.
"""

import functools
import io
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ktune.data.dataset import DataDescription, Task
from ktune.evaluation.context import SearchContext
from ktune.evaluation.costs import check_costs, objective_scores
from ktune.evaluation.early_stopping import EarlyStopping
from ktune.evaluation.epoch_history import EpochHistory
from ktune.evaluation.fold_racing import FoldRacing
from ktune.evaluation.retry import attempts
from ktune.evaluation.shared_training import (
    Connection,
    SharedTraining,
    describe,
    part_of,
    release_workers,
    train_for_leader,
)
from ktune.evaluation.training_task import task_of_trial
from ktune.metrics.predictions import confusion_matrix, predicted_classes
from ktune.protocols import Report, Training, TrainingTask, Work
from ktune.trainers import choose_trainer
from ktune.trial import EpochReport, Trial, TrialResult, TrialState
from ktune.utils.runtime import set_determinism


def evaluate_trial(
    context: SearchContext,
    trial: Trial,
    report: Report = lambda _: True,
    workers: Sequence[Connection] = (),
) -> TrialResult:
    """Train and score one trial; never raises for an error of the trial.

    Args:
        context: The context of the search.
        trial: The values to evaluate.
        report: Called after every epoch, or after every fold with fold racing; False
            stops the trial.
        workers: Connections to processes that train some of the folds, see
            `train_part`.

    Returns:
        A result in state complete, pruned (stopped by ``report``) or failed.
    """
    started = time.perf_counter()
    train = _train_fold_by_fold if context.experiment.races else _train_all_folds
    try:
        for attempt in attempts(context.builder, trial):
            with attempt:
                set_determinism(context.experiment.deterministic)
                task = task_of_trial(context, attempt.trial)
                latency = check_costs(context, task)
                result = train(context, task, attempt.trial, report, workers)
            # A second attempt needs their memory, and trains alone.
            release_workers(workers)
            workers = ()
        if attempt.trial is not trial:
            result = replace(result, batch_size=attempt.trial.batch_size)
        result = replace(result, latency_ms=latency)
        result = replace(result, scores=objective_scores(context.goal, result))
    except (Exception, SystemExit) as error:
        result = TrialResult(TrialState.FAILED, failure=describe(error))
    return replace(result, seconds=time.perf_counter() - started)


def train_part(
    context: SearchContext, trial: Trial, part: int, n_parts: int, leader: Connection
) -> None:
    """Train some folds of a trial that another process evaluates.

    Args:
        context: The context of the search.
        trial: The values to train with.
        part: Number of the part, from 1; the leader trains the first one, 0.
        n_parts: Number of parts; at most one per fold.
        leader: The connection to the process that evaluates the trial.
    """

    def start() -> Training:
        set_determinism(context.experiment.deterministic)
        task = part_of(task_of_trial(context, trial), part, n_parts)
        return choose_trainer(context.experiment.trainer, task).start(task)

    train_for_leader(start, leader)


_IN_THE_FOLDS = "rows of the folds"
"""Stands for the data of an experiment in the processes that train."""


def work_with(context: SearchContext) -> Work:
    """Return the work of an executor.

    Fold racing trains folds one after another, so workers cannot share a trial.
    """
    # Trials take their rows from the folds; a tf.data.Dataset cannot be pickled.
    context = context.with_changes({"data": _IN_THE_FOLDS})
    return Work(
        evaluate=functools.partial(evaluate_trial, context),
        help=functools.partial(train_part, context),
        most_parts=1 if context.experiment.races else len(context.folds),
        declare=context.builder.declare,
    )


def _train_all_folds(
    context: SearchContext,
    task: TrainingTask,
    trial: Trial,
    report: Report,
    workers: Sequence[Connection],
) -> TrialResult:
    """Advance all folds together: to the last epoch, early stopping, or pruning."""
    settings = task.settings
    history = _new_history(context, task, len(task.folds))
    own = part_of(task, 0, 1 + len(workers)) if workers else task
    trainer = choose_trainer(context.experiment.trainer, own)
    training: Training = trainer.start(own)
    if workers:
        training = SharedTraining(training, workers)
    state = TrialState.COMPLETE
    try:
        for epoch in range(settings.epochs):
            value = history.add(training.run_epoch())
            if not report(EpochReport(trial.number, epoch, settings.epochs, value)):
                is_last = epoch == settings.epochs - 1
                state = TrialState.COMPLETE if is_last else TrialState.PRUNED
                break
            if history.stopping.should_stop or training.wants_to_stop:
                break
        result = _result(context, history, training, state)
        return replace(result, trainer=trainer.name)
    finally:
        training.close()


def _train_fold_by_fold(
    context: SearchContext,
    task: TrainingTask,
    trial: Trial,
    report: Report,
    workers: Sequence[Connection],
) -> TrialResult:
    """Train folds sequentially; the trial may be pruned after each."""
    names: list[str] = []

    def start(alone: TrainingTask) -> Training:
        trainer = choose_trainer(context.experiment.trainer, alone)
        names.append(trainer.name)
        return trainer.start(alone)

    race = FoldRacing(task, start, context.objective)
    try:
        state = _race(race, trial, len(task.folds), report)
        history = _new_history(context, task, race.n_folds)
        race.fill(history)
        result = _result(context, history, race.first, state)
        return replace(result, trainer=names[0])
    finally:
        race.close()


def _race(race: FoldRacing, trial: Trial, n_folds: int, report: Report) -> TrialState:
    scores: list[float] = []
    for index in range(n_folds):
        scores.append(race.run_fold())
        mean = float(np.mean(scores))
        fold_report = EpochReport(trial.number, index, n_folds, mean, unit="fold")
        if not report(fold_report) and index < n_folds - 1:
            return TrialState.PRUNED
    return TrialState.COMPLETE


def _new_history(
    context: SearchContext, task: TrainingTask, n_folds: int
) -> EpochHistory:
    """Return the empty history of the first folds."""
    return EpochHistory(
        task.folds[:n_folds],
        task=context.data.task,
        metrics=context.metrics,
        objective=context.objective,
        stopping=EarlyStopping(context.objective, task.settings.early_stopping),
    )


def _result(
    context: SearchContext, history: EpochHistory, training: Training, state: TrialState
) -> TrialResult:
    out_of_fold = history.out_of_fold()
    return TrialResult(
        state=state,
        score=history.stopping.best_value,
        best_epoch=history.stopping.best_epoch,
        epochs=history.stopping.n_epochs,
        folds=history.fold_results(),
        curves=history.curves(),
        n_parameters=training.n_parameters,
        summary=training.summary,
        out_of_fold=_pack(out_of_fold, context.data.task),
        confusion=_confusion(out_of_fold, context.data, context.partition.weights),
    )


def _pack(arrays: dict[str, np.ndarray], task: Task) -> bytes:
    """Pack out-of-fold predictions; probabilities need three digits only."""
    if task not in (Task.REGRESSION, Task.CUSTOM):
        arrays = {**arrays, "prediction": arrays["prediction"].astype(np.float16)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _confusion(
    out_of_fold: dict[str, np.ndarray],
    data: DataDescription,
    weights: np.ndarray | None,
) -> tuple[tuple[int, ...], ...]:
    if not data.task.is_classification:
        return ()
    predicted = predicted_classes(out_of_fold["prediction"], data.task)
    weights = None if weights is None else weights[out_of_fold["row"]]
    target = out_of_fold["target"]
    counts = confusion_matrix(target, predicted, data.n_outputs, weights)
    return tuple(tuple(int(count) for count in row) for row in counts)
