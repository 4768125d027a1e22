"""Checks of targets with numbers as text, or with text among numbers."""

from collections import Counter
from typing import Any

import numpy as np

from ktune.data.dataset import Task
from ktune.data.number_text import CONVENTIONS, PLAIN
from ktune.errors import DataError
from ktune.utils.text import count_of

_SHARE_OF_NUMBERS = 0.9
_FEW_VALUES = 20


def check_no_numeric_text(y: np.ndarray, *, name: str, task: Task | None) -> None:
    """Refuse text targets that are numbers, possibly with a few other words.

    As class names, each number would be a separate class.

    Args:
        y: Targets without missing values.
        name: Name of the data, for messages.
        task: Task of the targets, if known.

    Raises:
        DataError: The message names the word, its row and the remedy.
    """
    if y.dtype != object or y.ndim != 1:
        return
    counts = Counter(y.tolist())
    numbers = [word for word in counts if PLAIN.fits(word)]
    strays = [word for word in counts if word not in set(numbers)]
    if task is Task.REGRESSION and strays:
        raise DataError(_not_a_number(strays, counts, y, name))
    if task is not None or len(counts) <= _FEW_VALUES:
        return
    convention = next((c for c in CONVENTIONS if all(map(c.fits, counts))), None)
    if convention is not None:
        how = (
            f" with decimal={convention.decimal!r}" if convention.decimal != "." else ""
        )
        raise DataError(
            f"{name}: the targets are {len(counts)} different numbers that are written "
            f"as text{how}, for instance {y[0]!r}. Turn them into numbers, or say "
            "task='multiclass' if each is the name of a class."
        )
    n_strays = sum(counts[word] for word in strays)
    if len(numbers) > _FEW_VALUES and n_strays <= (1 - _SHARE_OF_NUMBERS) * len(y):
        raise DataError(_not_a_number(strays, counts, y, name))


def mixture(array: np.ndarray, kinds: list[str], name: str) -> str:
    """Return the message about targets of several types, with the rarest one.

    Args:
        array: The targets, as objects.
        kinds: Type of each target, in words.
        name: Name of the data.
    """
    counts = Counter(kinds)
    rarest = counts.most_common()[-1][0]
    place = kinds.index(rarest)
    value = array.ravel()[place]
    row = place // (array.size // len(array))
    return (
        f"{name}: the targets mix {', '.join(sorted(counts))}: {value!r} (row "
        f"{row}) is {rarest}. All must be of one sort: correct it or remove the row."
    )


def _not_a_number(
    strays: list[str], counts: Counter[Any], y: np.ndarray, name: str
) -> str:
    word = strays[0]
    n_strays = sum(counts[stray] for stray in strays)
    row = int(np.flatnonzero(y == word)[0])
    return (
        f"{name}: the targets of a regression must be numbers; {word!r} (row {row}) is "
        f"none{_more(n_strays - 1)}. Correct it or remove the row; or name another "
        "target; or say task='multiclass' if the targets are names of classes."
    )


def _more(number: int) -> str:
    return f", nor {count_of(number, 'other target')}" if number else ""
