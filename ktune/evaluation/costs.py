"""Costs of a trial's model, and their limits."""

from typing import Any

from ktune.data.fixed_batch import some_rows
from ktune.errors import ConstraintViolated
from ktune.evaluation.context import SearchContext
from ktune.evaluation.latency import measure_latency
from ktune.metrics.ranking import Goal
from ktune.metrics.scores import LATENCY, N_PARAMETERS
from ktune.protocols import TrainingTask
from ktune.trainers.common import bytes_of
from ktune.trial import TrialResult
from ktune.utils.memory import bytes_to_train, require_memory


def check_costs(context: SearchContext, task: TrainingTask) -> float | None:
    """Refuse a model that is too large or too slow before it is trained.

    Returns:
        Its latency in milliseconds, if it is a limit or an objective.

    Raises:
        ConstraintViolated: It is above a limit of the experiment.
    """
    max_parameters = context.experiment.max_parameters
    max_latency = context.experiment.max_latency_ms
    needs_latency = max_latency or any(
        o.metric == LATENCY for o in context.goal.objectives
    )
    if max_parameters is None and not needs_latency:
        return None
    model = task.build()
    row = some_rows(model, context.folds[0].x)
    if not model.built:
        model(row)
    if max_parameters is not None and model.count_params() > max_parameters:
        raise ConstraintViolated(f"more than max_parameters={max_parameters:g}")
    if not needs_latency:
        return None
    latency = measure_latency(model, row)
    if max_latency is not None and latency > max_latency:
        raise ConstraintViolated(f"slower than max_latency_ms={max_latency:g}")
    return latency


def check_memory(
    model: Any, task: TrainingTask, available: float, *, jobs: int = 1
) -> None:
    """Refuse a model whose folds need more memory than available.

    Args:
        model: A new model of the task.
        task: The task.
        available: Bytes for this process.
        jobs: Number of processes that may share the folds.

    Raises:
        OutOfMemory: The folds need more memory.
    """
    if not getattr(model, "built", False):
        return  # its size is unknown until it is built
    arrays = {id(fold.x): fold.x for fold in task.folds}
    needed = bytes_to_train(
        model,
        batch_size=task.settings.batch_size,
        n_folds=max(1, len(task.folds) // jobs),
        data_bytes=sum(map(bytes_of, arrays.values())),
    )
    require_memory(needed, available)


def objective_scores(goal: Goal, result: TrialResult) -> tuple[float, ...]:
    """Return the value of each of several objectives; () for a single one."""
    if goal.is_single or result.score is None:
        return ()
    costs = {N_PARAMETERS: result.n_parameters, LATENCY: result.latency_ms}
    further = (
        costs[objective.metric]
        if objective.metric in costs
        else result.mean(objective.metric)
        for objective in goal.objectives[1:]
    )
    return (result.score, *(float(value or 0.0) for value in further))
