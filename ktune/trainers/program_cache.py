"""Compiled programs, kept for later trials of the same structure."""

import gc
from collections import OrderedDict
from collections.abc import Callable, Hashable

from tensorflow.python.eager import context

from ktune.trainers.graph_program import EpochProgram

MAX_PROGRAMS = 16
"""Programs kept for later trials; one of a small model takes some 20 MiB."""


class ProgramCache:
    """Keeps the programs used last, and gives back what the others held.

    A program is not all that a new structure leaves behind. TensorFlow keeps one
    compiled kernel for every operation and shape it has ever run outside of a graph,
    reading a weight among them. So whenever as many programs have gone as are kept,
    those kernels go as well; compiled anew as they are needed, they compute the same.
    """

    def __init__(self) -> None:
        self._programs: OrderedDict[Hashable, EpochProgram] = OrderedDict()
        self._n_gone = 0

    def __len__(self) -> int:
        """How many programs there are."""
        return len(self._programs)

    def get(self, key: Hashable, make: Callable[[], EpochProgram]) -> EpochProgram:
        """Return the program of that key, made if need be."""
        if key not in self._programs:
            self._programs[key] = make()
            if len(self) > MAX_PROGRAMS:
                self._drop_oldest()
        self._programs.move_to_end(key)
        return self._programs[key]

    def clear(self) -> None:
        """Give up all programs; trainings that use one keep it to their end."""
        self._programs.clear()

    def _drop_oldest(self) -> None:
        self._programs.popitem(last=False)
        # Graphs refer to themselves, so only the collector frees them; its own time
        # comes late, since it counts objects and not what TensorFlow holds.
        gc.collect()
        self._n_gone += 1
        if self._n_gone % MAX_PROGRAMS == 0:
            context.context().clear_kernel_cache()
