"""Arrays of the same rows in a nest, as Keras takes targets of several outputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktune.data.large_arrays import take


@dataclass(frozen=True, eq=False)
class Nest:
    """Arrays with the same number of rows, which are selected together.

    Attributes:
        structure: A dict, list or tuple of arrays, or of further dicts and lists.
    """

    structure: Any

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    def __getitem__(self, rows: Any) -> "Nest":
        """Return the rows of every array."""
        return self.map(lambda array: _rows_of(array, rows))

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """The arrays by their keys in the nest, joined by "/"."""
        return dict(_walk(self.structure, ""))

    def map(self, function: Callable[[np.ndarray], Any]) -> "Nest":
        """Return the nest of the results for every array."""
        return Nest(map_arrays(function, self.structure))


def is_nested(values: Any) -> bool:
    """Whether values are a dict, a list or a tuple."""
    return isinstance(values, Mapping | list | tuple)


def map_arrays(function: Callable[[Any], Any], structure: Any) -> Any:
    """Return the same structure with the result of a function for every array.

    Example:
        >>> map_arrays(len, {"mask": [np.zeros(2), np.zeros(1)], "label": np.zeros(3)})
        {'mask': [2, 1], 'label': 3}
    """
    if isinstance(structure, Mapping):
        return {key: map_arrays(function, part) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        mapped = [map_arrays(function, part) for part in structure]
        return mapped if isinstance(structure, list) else tuple(mapped)
    return function(structure)


def parts_of(values: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a nest by name; one array has the name "".

    Example:
        >>> list(parts_of(np.zeros(3)))
        ['']
    """
    return values.parts if isinstance(values, Nest) else {"": values}


def structure_of(values: Any) -> Any:
    """Return values in the form that Keras takes."""
    return values.structure if isinstance(values, Nest) else values


def nest_of(structure: Any) -> Any:
    """Return a dict, list or tuple as a `Nest`; an array as it is."""
    return Nest(structure) if is_nested(structure) else structure


def concatenate(pieces: Sequence[Any]) -> Any:
    """Return the rows of arrays, or of nests of one structure, one after another."""
    if not isinstance(pieces[0], Nest):
        return np.concatenate(pieces)
    whole = [iter(piece.parts.values()) for piece in pieces]
    return pieces[0].map(lambda _: np.concatenate([next(part) for part in whole]))


def row_shapes(values: Any) -> Any:
    """Return the shape of a row, in the structure of the arrays."""
    return map_arrays(lambda array: tuple(array.shape[1:]), structure_of(values))


def is_shape(shape: Any) -> bool:
    """Whether a value of `row_shapes` is the shape of one array."""
    return isinstance(shape, list | tuple) and all(isinstance(n, int) for n in shape)


def flat_numbers(values: Any) -> np.ndarray:
    """Return all numbers of an array, of a nest, or of a mapping to arrays."""
    parts = (
        values.values() if isinstance(values, Mapping) else parts_of(values).values()
    )
    return np.concatenate([np.asarray(part).ravel() for part in parts])


def _rows_of(array: np.ndarray, rows: Any) -> np.ndarray:
    is_list = isinstance(rows, np.ndarray) and rows.dtype.kind in "iu"
    return take(array, rows) if is_list else array[rows]


def _walk(structure: Any, path: str) -> Iterator[tuple[str, np.ndarray]]:
    if not is_nested(structure):
        yield path, structure
        return
    pairs = (
        structure.items() if isinstance(structure, Mapping) else enumerate(structure)
    )
    for key, part in pairs:
        yield from _walk(part, f"{path}/{key}" if path else str(key))
