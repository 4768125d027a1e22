"""How a table is written in a file: separator, numbers, words for missing values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pandas as pd

MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A")
"""Words for a missing value, in numbers and text alike."""


@dataclass(frozen=True)
class TableFormat:
    """How a table is written; None: found in the file.

    Attributes:
        separator: Between two values of a line.
        decimal: Before the decimals of a number.
        thousands: Between groups of three digits; "": there are no groups.
        encoding: Of the text.
        header: Whether the first line names the columns.
        names: Of the columns, for a file without header; empty: "0", "1", ….
        comment: Beginning of lines that are no rows; "": there are none.
        missing: Words for a missing value, beside `MISSING`.
        not_missing: Words of `MISSING` that are values, such as a class "None".
        text: Columns that hold text, also where the text looks like numbers.
        sheet: Name of the sheet of a workbook.
    """

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool = True
    names: tuple[str, ...] = ()
    comment: str | None = None
    missing: tuple[str, ...] = ()
    not_missing: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    sheet: str | None = None

    @property
    def missing_words(self) -> tuple[str, ...]:
        """All words for a missing value."""
        words = dict.fromkeys((*MISSING, *self.missing))
        return tuple(word for word in words if word not in self.not_missing)

    def as_dict(self) -> dict[str, Any]:
        """Return the format as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def format_from_dict(values: Mapping[str, Any] | None) -> TableFormat:
    """Return the format that `TableFormat.as_dict` wrote; unknown fields are left out.

    Example:
        >>> format_from_dict({"decimal": ",", "missing": ["?"], "later": 1}).missing
        ('?',)
    """
    known = {item.name for item in fields(TableFormat)}
    fields_given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in (values or {}).items()
        if name in known
    }
    return TableFormat(**fields_given)


@dataclass(frozen=True)
class MissingWord:
    """A word of one column that stands for a missing value.

    Attributes:
        word: As written in the file; "" for an empty cell.
        count: In how many rows.
        row: The first of them, counted from 0.
    """

    word: str
    count: int
    row: int


@dataclass(frozen=True, eq=False)
class ReadTable:
    """A table as it was read.

    Attributes:
        frame: Rows and columns.
        format: How to read a file of the same form; None for files that carry their
            types (parquet).
        missing: The words that were read as missing, by column.
        notes: What a person should know about the reading.
    """

    frame: pd.DataFrame
    format: TableFormat | None = None
    missing: Mapping[str, tuple[MissingWord, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
