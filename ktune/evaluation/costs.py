"""What a trial's model costs, and what it costs at most."""

from typing import Any

import numpy as np

from ktune.data.dataset import take_rows
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
        Its latency in milliseconds, if anybody wants to know.

    Raises:
        ConstraintViolated: It is above a limit of the experiment.
    """
    most_parameters = context.experiment.max_parameters
    most_latency = context.experiment.max_latency_ms
    wants_latency = most_latency or any(
        o.metric == LATENCY for o in context.goal.objectives
    )
    if most_parameters is None and not wants_latency:
        return None
    model, row = task.build(), take_rows(context.folds[0].x, np.arange(1))
    if not model.built:
        model(row)
    if most_parameters is not None and model.count_params() > most_parameters:
        raise ConstraintViolated(f"more than max_parameters={most_parameters:g}")
    if not wants_latency:
        return None
    latency = measure_latency(model, row)
    if most_latency is not None and latency > most_latency:
        raise ConstraintViolated(f"slower than max_latency_ms={most_latency:g}")
    return latency


def check_memory(
    model: Any, task: TrainingTask, available: float, *, jobs: int = 1
) -> None:
    """Refuse a model whose folds cannot be trained in the memory there is.

    Args:
        model: One of the task's, before anything is trained.
        task: How it is to be trained.
        available: Bytes for this process.
        jobs: How many processes may share the folds.

    Raises:
        OutOfMemory: They cannot.
    """
    if not getattr(model, "built", False):
        return  # it does not know its size yet
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
