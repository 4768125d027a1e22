"""Types of the text columns of a table: numbers, clock times, or text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from ktune.data.number_text import (
    CONVENTIONS,
    Convention,
    NumberColumn,
    convert,
    examine,
    hours_of,
    is_mark,
    may_hold_numbers,
)
from ktune.data.table_format import MISSING, MissingWord, TableFormat
from ktune.errors import DataError
from ktune.utils.text import count_of


@dataclass(frozen=True, eq=False)
class TypedTable:
    """A table with text columns converted to numbers and times where possible.

    Attributes:
        table: The PyArrow table.
        convention: Format of its numbers.
        missing: Words in columns of numbers that were read as missing, by column.
        clocks: Columns of clock times, converted to hours.
        offered: Words of text columns that may mean missing values.
    """

    table: Any
    convention: Convention
    missing: Mapping[str, tuple[MissingWord, ...]]
    clocks: tuple[str, ...] = ()
    offered: Mapping[str, str] | None = None


def find_convention(
    columns: Mapping[str, Any],
    given: TableFormat,
    *,
    sure: Sequence[str] = (),
    is_settled: bool = False,
) -> Convention:
    """Return the number format of all columns.

    Args:
        columns: PyArrow arrays of text by column.
        given: Table format of the user, which may set the number format.
        sure: Columns that certainly contain numbers.
        is_settled: Whether the format is known, so that other numbers are errors.

    Raises:
        DataError: Two columns have different formats, or the format is ambiguous.
    """
    allowed = _allowed(given)
    fitting = {
        name: _fitting(column, allowed)
        for name, column in columns.items()
        if name in sure or may_hold_numbers(first_words(column))
    }
    fitting = {name: found for name, found in fitting.items() if found or name in sure}
    if not fitting:
        return allowed[0]
    common = reduce(
        lambda left, right: [c for c in left if c in right], fitting.values()
    )
    if not common and is_settled:
        return allowed[0]
    if not common:
        raise DataError(_disagreement(fitting, columns, allowed[0]))
    for name in fitting:
        _check_agreement(name, columns[name], common)
    return common[0]


def type_columns(
    table: Any,
    convention: Convention,
    given: TableFormat,
    numbers: Sequence[str] = (),
) -> TypedTable:
    """Convert text columns to numbers or clock times where possible.

    Args:
        table: A PyArrow table.
        convention: Format of its numbers.
        given: Table format of the user, which may set columns of text.
        numbers: Columns that must contain numbers.

    Raises:
        DataError: A value in a column of numbers is neither a number nor missing.
    """
    import pyarrow

    missing: dict[str, tuple[MissingWord, ...]] = {}
    clocks, offered = [], {}
    # A word of `MISSING` may be a category of one column and missing in another.
    values = [word for word in given.not_missing if word not in MISSING]
    for index, name in enumerate(table.column_names):
        column = table.column(index)
        if pyarrow.types.is_time32(column.type):
            clocks.append(name)
            table = table.set_column(index, name, _hours_of_times(column))
        if name in given.text or not is_text(column):
            continue
        found = _numbers_of(
            name, column, convention, is_sure=name in numbers, not_missing=values
        )
        if found is not None:
            missing[name] = missing_words(column, found.marks)
            table = table.set_column(index, name, convert(column, convention))
        elif (hours := _hours(column)) is not None:
            clocks.append(name)
            table = table.set_column(index, name, hours)
        elif marks := _offered(column, given):
            offered[name] = marks[0]
    missing = {name: words for name, words in missing.items() if words}
    return TypedTable(table, convention, missing, tuple(clocks), offered)


def _offered(column: Any, given: TableFormat) -> list[str]:
    """Return the words of a text column that may mean missing values."""
    return [
        word
        for word in first_words(column)
        if is_mark(word) and word.strip() and word not in given.not_missing
    ]


def is_text(column: Any) -> bool:
    """Whether a PyArrow column holds text."""
    import pyarrow

    return bool(pyarrow.types.is_string(column.type))


def missing_words(column: Any, words: Mapping[str, int]) -> tuple[MissingWord, ...]:
    """Return the first rows of words in a text column."""
    import pyarrow.compute as pc

    return tuple(
        MissingWord(word, count, pc.index(column, word).as_py())
        for word, count in words.items()
    )


def first_words(column: Any, at_most: int = 1000) -> list[str]:
    """Return the first distinct words of a text column."""
    return [
        word
        for word in column.slice(0, 20 * at_most).unique().to_pylist()
        if word is not None
    ][:at_most]


def _allowed(given: TableFormat) -> list[Convention]:
    conventions = [
        convention
        for convention in CONVENTIONS
        if given.decimal in (None, convention.decimal)
        and given.thousands in (None, convention.thousands)
    ]
    return conventions or [Convention(given.decimal or ".", given.thousands or "")]


def _fitting(column: Any, allowed: Sequence[Convention]) -> list[Convention]:
    seen = {convention: examine(column, convention) for convention in allowed}
    numeric = {c: found for c, found in seen.items() if found.is_numeric}
    exact = [c for c, found in numeric.items() if not found.strays]
    return exact or list(numeric)


def _check_agreement(name: str, column: Any, common: Sequence[Convention]) -> None:
    first, *others = common
    numbers = convert(column, first).cast("float64")
    for other in others:
        further = convert(column, other).cast("float64")
        if further.equals(numbers):
            continue
        row = next(
            row
            for row, pair in enumerate(zip(numbers, further, strict=True))
            if pair[0] != pair[1]
        )
        raise DataError(
            f"column {name!r} holds {column[row].as_py()!r} (row {row}), which may be "
            f"{numbers[row].as_py():.15g} or {further[row].as_py():.15g}. Say which: "
            f"{_spelled(first)} or {_spelled(other)}."
        )


def _spelled(convention: Convention) -> str:
    if convention.thousands:
        return f"thousands={convention.thousands!r}"
    return f"decimal={convention.decimal!r}"


def _disagreement(
    fitting: Mapping[str, list[Convention]],
    columns: Mapping[str, Any],
    wanted: Convention,
) -> str:
    first, *others = sorted(fitting, key=lambda name: len(fitting[name]))
    apart = [n for n in others if not set(fitting[n]) & set(fitting[first])]
    shown = [
        f"column {name!r} holds {_marked(columns[name])!r}"
        for name in (first, *(apart or others)[:1])
    ]
    if len(shown) == 1:
        shown.append(f"numbers are written with decimal={wanted.decimal!r}")
    return (
        f"{', but '.join(shown)}: numbers are written in two ways. Name the column "
        f"that holds no numbers, for instance text=[{first!r}], or bring all numbers "
        "into one form."
    )


def _marked(column: Any) -> str:
    """Return a value that shows the number format of a column."""
    words = first_words(column)
    return next((w for w in words if not w.strip("+-").isdigit()), words[0])


def _numbers_of(
    name: str,
    column: Any,
    convention: Convention,
    *,
    is_sure: bool,
    not_missing: Sequence[str],
) -> NumberColumn | None:
    """Return the numbers of a text column; None if it is not a column of numbers."""
    words = first_words(column)
    if not is_sure and not may_hold_numbers(words):
        return None
    found = examine(column, convention)
    values = [word for word in found.marks if word in not_missing]
    if not is_sure and (values or not found.is_numeric):
        return None
    if is_sure and found.strays and _hours(column) is not None:
        return None
    if found.strays:
        (first,) = missing_words(column, dict([next(iter(found.strays.items()))]))
        raise DataError(_stray(name, first, found, is_sure))
    return found


def _stray(name: str, word: MissingWord, found: NumberColumn, is_sure: bool) -> str:
    n_others = sum(found.strays.values()) - 1
    others = f" (and {count_of(n_others, 'more value')})" if n_others else ""
    if is_sure:
        return (
            f"column {name!r} must hold numbers; got {word.word!r} (row {word.row})"
            f"{others}. Correct it, or say that it stands for a missing value "
            f"(missing=[{word.word!r}]; for predict --missing {word.word!r})."
        )
    return (
        f"column {name!r} holds {word.word!r} (row {word.row}){others} among "
        f"{count_of(found.n_numbers, 'number')}. Correct it; or say "
        f"missing=[{word.word!r}] if it stands for a missing value, or text=[{name!r}] "
        "if the column holds text."
    )


def _hours_of_times(column: Any) -> Any:
    import pyarrow.compute as pc

    seconds = column.cast("time32[s]").cast("int32").cast("float64")
    return pc.divide(seconds, 3600.0)


def _hours(column: Any) -> Any:
    """Return the hours of a column of clock times; None for other columns."""
    import pyarrow

    words = [word for word in column.unique().to_pylist() if word is not None]
    if not words or hours_of(words[0]) is None:
        return None
    hours = {word: hours_of(word) for word in words}
    if any(found is None for found in hours.values()):
        return None
    return pyarrow.array([hours.get(word) for word in column.to_pylist()], "float64")


def with_convention(given: TableFormat, convention: Convention) -> TableFormat:
    """Return the table format with a number format."""
    return replace(given, decimal=convention.decimal, thousands=convention.thousands)
