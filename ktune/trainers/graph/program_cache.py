"""The compiled programs of the graph trainer, kept for later trials.

Trials whose models have the same structure share a program.
"""

import gc
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import tensorflow as tf

from ktune.data.dataset import Task
from ktune.protocols import TrainingTask
from ktune.trainers.common import LIGHT_BELOW
from ktune.trainers.graph.family import is_family
from ktune.trainers.graph.program import EpochProgram
from ktune.trainers.graph.structure import structure_key

MAX_PROGRAMS = 16
"""Programs kept for later trials; one of a small model takes some 20 MiB."""

DROPPED_AT_ONCE = 4
"""Programs dropped when there are too many, the least recently used first.

Their graphs contain reference cycles, so only the garbage collector frees them. It
would run late, since it counts objects and not the memory of TensorFlow. A collection
takes 0.3 s, a third of the time to trace a new program.
"""

_PROGRAMS: OrderedDict[Hashable, EpochProgram] = OrderedDict()


def program_of(
    model: Any,
    structure: Hashable | None,
    task: TrainingTask,
    data: tuple[Any, ...],
    *,
    n_folds: int,
    serves_family: bool,
) -> EpochProgram:
    """Return the program for a model's structure, from the cache or new."""
    n_full = {len(fold.train) // task.settings.batch_size for fold in task.folds}
    is_uneven = n_folds > 1 and len(n_full) > 1
    traits: dict[str, Any] = {
        "n_folds": n_folds,
        "is_uneven": is_uneven,
        "is_light": is_light(model, task),
        "serves_family": serves_family,
        "scores_itself": task.data.task is Task.CUSTOM,
    }
    if structure is None:
        return EpochProgram(model, **traits)
    specs = str(tf.nest.map_structure(lambda part: (part.dtype, part.shape[1:]), data))
    is_scored = len(task.folds[0].validation) > 0
    key = (structure, *traits.values(), task.settings.batch_size, specs, is_scored)
    if key not in _PROGRAMS:
        _PROGRAMS[key] = EpochProgram(model, **traits)
        if len(_PROGRAMS) > MAX_PROGRAMS:
            _drop_oldest(DROPPED_AT_ONCE)
    _PROGRAMS.move_to_end(key)
    return _PROGRAMS[key]


def structure_of_model(model: Any, task: TrainingTask) -> tuple[bool, Hashable | None]:
    """Return whether a program of the model serves its family, and the key for it.

    Code of the user has no key, and may read shapes that a family leaves open.
    """
    is_open = _serves_family(model, task)
    key = structure_key(
        model, is_open=is_open, has_metrics=task.data.task is Task.CUSTOM
    )
    return is_open and key is not None, key


def is_light(model: Any, task: TrainingTask) -> bool:
    """Whether a step is mostly overhead."""
    return model.count_params() * task.settings.batch_size < LIGHT_BELOW


def _serves_family(model: Any, task: TrainingTask) -> bool:
    """Whether a program of the model trains models of other widths as well.

    Heavy models keep programs of their own: their operations are arithmetic, which
    known shapes make faster.
    """
    return is_light(model, task) and is_family(model)


def forget_programs() -> None:
    """Drop all compiled programs; running trainings keep using them."""
    if _PROGRAMS:
        _drop_oldest(len(_PROGRAMS))


def _drop_oldest(n_programs: int) -> None:
    for _ in range(n_programs):
        _PROGRAMS.popitem(last=False)
    gc.collect()
