"""The format of a table in a file: separator, numbers, words for missing values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pandas as pd

MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A")
"""Words for a missing value, in columns of numbers and of text."""


@dataclass(frozen=True)
class TableFormat:
    """The format of a table; None: detected from the file.

    Attributes:
        separator: Separator of the values of a line.
        decimal: Decimal separator of numbers.
        thousands: Separator of groups of three digits; "": no groups.
        encoding: Encoding of the text.
        header: Whether the first line has the names of the columns.
        names: Names of the columns of a file without header; empty: "0", "1", ….
        comment: Beginning of comment lines; "": no comments.
        missing: Words for a missing value, in addition to `MISSING`.
        not_missing: Words of `MISSING` that are values, such as a class "None".
        text: Columns of text, also if the text looks like numbers.
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
    """Return the format from `TableFormat.as_dict`; unknown fields are ignored.

    Example:
        >>> format_from_dict({"decimal": ",", "missing": ["?"], "later": 1}).missing
        ('?',)
    """
    known = {item.name for item in fields(TableFormat)}
    arguments: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in (values or {}).items()
        if name in known
    }
    return TableFormat(**arguments)


@dataclass(frozen=True)
class MissingWord:
    """A word of one column that means a missing value.

    Attributes:
        word: The word in the file; "" for an empty cell.
        count: Number of rows with the word.
        row: The first of these rows, counted from 0.
    """

    word: str
    count: int
    row: int


@dataclass(frozen=True, eq=False)
class ReadTable:
    """A table read from a file.

    Attributes:
        frame: Rows and columns.
        format: Format for reading similar files; None for files with types (parquet).
        missing: Words that were read as missing, by column.
        notes: Notes for the user on how the file was read.
    """

    frame: pd.DataFrame
    format: TableFormat | None = None
    missing: Mapping[str, tuple[MissingWord, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
