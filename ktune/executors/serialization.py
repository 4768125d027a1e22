"""What every worker needs of a search, packed so that its arrays are sent once, shared.

Arrays are kept beside the pickle. On this machine they lie in a file, page by page,
that each worker maps read-only: there is one copy of the data, however many workers.
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
    """Where the parts of a pickled object lie.

    Attributes:
        pickled: The object without its arrays.
        path: File of the arrays.
        places: Offset and length of each in that file, in bytes.
    """

    pickled: bytes
    path: Path
    places: tuple[tuple[int, int], ...]


def pack(content: Any) -> tuple[bytes, list[memoryview]]:
    """Pickle an object for other processes, its large arrays apart.

    Functions of an experiment file are sent as they are: a worker could not import it
    under the name it has here.

    Args:
        content: What is sent; functions and lambdas may be in it.

    Returns:
        The object without its arrays, and the bytes of each.

    Raises:
        ExperimentError: Something in it belongs to this process.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        with _ExperimentsByValue():
            pickled = cloudpickle.dumps(
                content, protocol=5, buffer_callback=_keeper(buffers)
            )
    except Exception as error:
        raise ExperimentError(
            f"the experiment cannot be sent to other processes ({error}). Make what "
            "it names there a function's local value, or use jobs=1 and leave "
            "`executor` out."
        ) from error
    return pickled, [buffer.raw() for buffer in buffers]


def ship(content: Any, folder: Path) -> Serialization:
    """Write an object down for other processes of this machine.

    Args:
        content: See `pack`.
        folder: Where the file of its arrays goes.

    Raises:
        ExperimentError: Something in it belongs to this process.
    """
    pickled, buffers = pack(content)
    path = folder / "arrays.bin"
    places = []
    with path.open("wb") as file:
        for buffer in buffers:
            file.seek(-file.tell() % _PAGE, 1)
            places.append((file.tell(), buffer.nbytes))
            file.write(buffer)
        file.truncate(max(file.tell(), 1))
    return Serialization(pickled, path, tuple(places))


def unpack(shipment: Serialization) -> Any:
    """Return what was shipped; its arrays are read-only views of the file."""
    with shipment.path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = memoryview(mapped)
    buffers = [view[start : start + length] for start, length in shipment.places]
    return pickle.loads(shipment.pickled, buffers=buffers)


def _keeper(
    buffers: list[pickle.PickleBuffer],
) -> Callable[[pickle.PickleBuffer], bool]:
    """Take large contiguous buffers out of the pickle; True leaves one in it."""

    def keep(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < _PAGE:
            return True
        buffers.append(buffer)
        return False

    return keep


class _ExperimentsByValue:
    """While this is entered, experiment files are pickled by their content."""

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
