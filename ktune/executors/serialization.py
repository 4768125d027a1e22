"""Serialize an object for workers, with its arrays in shared memory.

Arrays are kept outside the pickle. On this machine they are written page-aligned to a
file that each worker maps read-only: there is one copy of the data for all workers.
"""

import mmap
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from ktune.errors import ExperimentError
from ktune.experiment.loading import MODULE_PREFIX

_PAGE = mmap.ALLOCATIONGRANULARITY


@dataclass(frozen=True)
class Serialization:
    """A serialized object and the location of its arrays.

    Attributes:
        pickled: The object without its arrays.
        path: File of the arrays.
        segments: Offset and length of each array in that file, in bytes.
    """

    pickled: bytes
    path: Path
    segments: tuple[tuple[int, int], ...]


def pack(content: Any) -> tuple[bytes, list[memoryview]]:
    """Pickle an object for other processes, with its large arrays out of band.

    Functions of an experiment file are pickled by value, because a worker could not
    import the file by its module name in this process.

    Args:
        content: The object; it may contain functions and lambdas.

    Returns:
        The object without its arrays, and the bytes of each array.

    Raises:
        ExperimentError: A part of it cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        with _ExperimentsByValue():
            pickled = cloudpickle.dumps(
                content, protocol=5, buffer_callback=_keeper(buffers)
            )
    except Exception as error:
        raise ExperimentError(
            f"the experiment cannot be sent to other processes ({error}). Create the "
            "named object inside a function, or use jobs=1 without `executor`."
        ) from error
    return pickled, [buffer.raw() for buffer in buffers]


def serialize(content: Any, folder: Path) -> Serialization:
    """Serialize an object for other processes on this machine.

    Args:
        content: See `pack`.
        folder: Folder for the file of its arrays.

    Raises:
        ExperimentError: A part of it cannot be pickled.
    """
    pickled, buffers = pack(content)
    path = folder / "arrays.bin"
    segments = []
    with path.open("wb") as file:
        for buffer in buffers:
            file.seek(-file.tell() % _PAGE, 1)
            segments.append((file.tell(), buffer.nbytes))
            file.write(buffer)
        file.truncate(max(file.tell(), 1))
    return Serialization(pickled, path, tuple(segments))


def deserialize(serialized: Serialization) -> Any:
    """Return the object; its arrays are read-only views of the file."""
    with serialized.path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = memoryview(mapped)
    buffers = [view[start : start + length] for start, length in serialized.segments]
    return pickle.loads(serialized.pickled, buffers=buffers)


def _keeper(
    buffers: list[pickle.PickleBuffer],
) -> Callable[[pickle.PickleBuffer], bool]:
    """Return a callback that collects large buffers; it returns True for small ones."""

    def keep(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < _PAGE:
            return True
        buffers.append(buffer)
        return False

    return keep


class _ExperimentsByValue:
    """Context in which experiment files are pickled by value."""

    def __enter__(self) -> None:
        self._modules: list[ModuleType] = [
            module
            for name, module in sys.modules.items()
            if name.startswith(MODULE_PREFIX)
        ]
        for module in self._modules:
            cloudpickle.register_pickle_by_value(module)

    def __exit__(self, *error: object) -> None:
        for module in self._modules:
            cloudpickle.unregister_pickle_by_value(module)
