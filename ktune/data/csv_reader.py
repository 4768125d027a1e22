"""Read a csv file as a table, and report malformed lines."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ktune.data.column_types import (
    find_convention,
    is_text,
    missing_words,
    type_columns,
    with_convention,
)
from ktune.data.csv_layout import SEPARATORS, Layout, cut, find_layout
from ktune.data.files import check_file, header_hint, suspicious_column
from ktune.data.reading_notes import reading_notes
from ktune.data.table_format import MissingWord, ReadTable, TableFormat
from ktune.data.unpacking import read_packed
from ktune.errors import DataError
from ktune.utils.text import count_of

PACKED = (".gz", ".bz2", ".zst", ".lz4", ".br")
"""Suffixes of compressed files that PyArrow supports."""

_LARGEST_BLOCK = 2**31 - 1
_AS_WRITTEN = TableFormat()


@dataclass(frozen=True)
class Expected:
    """The types of the columns of the training rows, required of other rows.

    Attributes:
        numbers: Columns of numbers.
    """

    numbers: tuple[str, ...] = ()


def read_csv(
    path: Path,
    given: TableFormat = _AS_WRITTEN,
    expected: Expected | None = None,
) -> ReadTable:
    """Read a csv file, compressed (``.gz``, ``.bz2`` …) or not.

    The type of a column is inferred from all its values: whole numbers, numbers,
    booleans, dates, clock times (as hours), otherwise text.

    Args:
        path: Path of the file.
        given: Table format of the user; the rest is detected.
        expected: Types of the columns of the training rows, if known.

    Raises:
        DataError: The file is missing, empty, ragged, not in the given encoding, or has
            other values in a column of numbers.
    """
    return read_text(read_content(path), path, given, expected)


def read_text(
    content: bytes,
    path: Path,
    given: TableFormat = _AS_WRITTEN,
    expected: Expected | None = None,
) -> ReadTable:
    """Read the content of a csv file; arguments and errors as on `read_csv`."""
    import pyarrow

    try:
        layout = find_layout(content, given, path)
        names = _column_names(layout, path)
        table = _parse(layout, path, names, {})
        typed, words = _typed(layout, table, path, names, expected)
    except (pyarrow.ArrowInvalid, UnicodeDecodeError, LookupError) as error:
        raise DataError(_unreadable(path, error)) from error
    found = with_convention(layout.format, typed.convention)
    notes = reading_notes(path.name, given, found, words, typed)
    found = replace(
        found,
        text=tuple(_text_columns(typed.table)),
        # Similar files may have another encoding and comments, or none.
        encoding=given.encoding,
        comment=given.comment,
    )
    # Columns are converted one by one, so that they are not all in memory twice.
    frame = typed.table.to_pandas(
        date_as_object=False, self_destruct=True, split_blocks=True
    ).rename(columns=str)
    return ReadTable(frame, found, words, notes)


def read_content(path: Path) -> bytes:
    """Return the uncompressed content of a file.

    Raises:
        DataError: The file is missing, empty or not readable.
    """
    import pyarrow

    check_file(path)
    try:
        with pyarrow.input_stream(str(path)) as stream:
            if path.suffix.lower() in PACKED:
                return read_packed(stream, path)
            return bytes(stream.read_buffer())
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error


def _column_names(layout: Layout, path: Path) -> list[str] | None:
    """Return the column names of a file without header; None: line 1 is the header."""
    given = layout.format
    if given.header and not given.names:
        return None
    line = layout.content.lstrip().partition(b"\n")[0].decode("utf-8", "replace")
    width = len(cut(line.rstrip("\r"), given.separator or ","))
    names = list(given.names) or [str(index) for index in range(width)]
    if len(names) != width:
        raise DataError(
            f"{path}: there are {count_of(len(names), 'name')}, but line 1 has "
            f"{count_of(width, 'value')}: {line[:60]!r}. Give a name for each."
        )
    return names


def _parse(
    layout: Layout,
    path: Path,
    names: Sequence[str] | None,
    types: Mapping[str, Any],
) -> Any:
    """Parse the rows; the types of columns that are not in ``types`` are inferred."""
    ragged: list[Any] = []
    given = layout.format
    text = dict.fromkeys(given.text, "string")
    table = _parse_rows(
        layout,
        names,
        ragged,
        column_types={**text, **types},
        null_values=list(given.missing_words),
        strings_can_be_null=True,
    )
    _check_ragged(path, ragged, layout)
    table = _without_empty_last(table)
    _check_names(path, table.column_names, given.separator or ",")
    _check_encoding(path, table, given.encoding or "utf-8")
    return table


def _parse_rows(
    layout: Layout, names: Sequence[str] | None, ragged: list[Any], **options: Any
) -> Any:
    import pyarrow
    from pyarrow import csv

    def note(row: Any) -> str:
        ragged.append(row)
        return "skip"

    content = pyarrow.py_buffer(layout.content)
    with _silent_about_encoding():
        return csv.read_csv(
            pyarrow.BufferReader(content),
            # Types are inferred from the first block, so the file is one block; only
            # with one thread a malformed row has a number.
            read_options=csv.ReadOptions(
                block_size=min(content.size + 1, _LARGEST_BLOCK),
                use_threads=False,
                column_names=names,
            ),
            parse_options=csv.ParseOptions(
                delimiter=layout.format.separator,
                invalid_row_handler=note,
                newlines_in_values=True,
            ),
            convert_options=csv.ConvertOptions(**options),
        )


def _typed(
    layout: Layout,
    table: Any,
    path: Path,
    names: Sequence[str] | None,
    expected: Expected | None,
) -> tuple[Any, dict[str, tuple[MissingWord, ...]]]:
    """Return the typed table, and the words that were read as missing."""
    given = layout.format
    must_be_numbers = expected.numbers if expected else ()
    try:
        known = expected is not None
        convention = find_convention(_candidates(table, given), given, is_settled=known)
        if convention.decimal != ".":
            # The point is not the decimal separator: read such columns again as text.
            sure = _columns_of(table, "double")
            table = _parse(layout, path, names, dict.fromkeys(sure, "string"))
            marks = replace(given, decimal=convention.decimal)
            convention = find_convention(
                _candidates(table, given), marks, sure=sure, is_settled=known
            )
        typed = type_columns(table, convention, given, must_be_numbers)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    words = _empty_words(layout, names, table)
    for name, missing in typed.missing.items():
        words[name] = (*words.get(name, ()), *missing)
    return typed, words


def _candidates(table: Any, given: TableFormat) -> dict[str, Any]:
    return {
        name: table.column(name)
        for name in _text_columns(table)
        if name not in given.text
    }


def _text_columns(table: Any) -> list[str]:
    return [name for name in table.column_names if is_text(table.column(name))]


def _columns_of(table: Any, kind: str) -> list[str]:
    return [field.name for field in table.schema if str(field.type) == kind]


def _empty_words(
    layout: Layout, names: Sequence[str] | None, table: Any
) -> dict[str, tuple[MissingWord, ...]]:
    """Return the words that were read as missing, by column."""
    import pyarrow.compute as pc

    columns = [name for name in table.column_names if table.column(name).null_count]
    if not columns:
        return {}
    raw = _parse_rows(
        layout,
        names,
        [],
        include_columns=columns,
        column_types=dict.fromkeys(columns, "string"),
        strings_can_be_null=False,
    )
    result = {}
    for name in columns:
        written = raw.column(name)
        words = pc.value_counts(written.filter(table.column(name).is_null()))
        counts = {item["values"]: item["counts"] for item in words.to_pylist()}
        result[name] = missing_words(written, counts)
    return result


def _without_empty_last(table: Any) -> Any:
    """Drop the empty column of a separator at the end of each line."""
    last = table.num_columns - 1
    if last > 0 and table.column_names[last] == "":
        column = table.column(last)
        if column.null_count == len(column):
            return table.remove_column(last)
    return table


@contextlib.contextmanager
def _silent_about_encoding() -> Iterator[None]:
    """Hide errors about a ragged row in another encoding, which is reported later.

    PyArrow decodes the row for its handler, and prints exceptions instead of raising.
    """
    before = sys.unraisablehook

    def hook(raised: Any) -> None:
        if not isinstance(raised.exc_value, UnicodeDecodeError):
            before(raised)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _unreadable(path: Path, error: Exception) -> str:
    if "Empty CSV" in str(error):
        return f"{path}: the file is empty."
    return f"{path}: no readable csv file ({error})."


def _check_ragged(path: Path, ragged: list[Any], layout: Layout) -> None:
    if not ragged:
        return
    first = ragged[0]
    separator = layout.format.separator
    remedy = f"Correct them: a value that holds {separator!r} must stand in quotes."
    if first.text[:1] in ("#", "%"):
        remedy = f"If such lines are comments, say comment={first.text[0]!r}."
    raise DataError(
        f"{path}: {count_of(len(ragged), 'ragged row')}, first row "
        f"{first.number + layout.skipped}: it has {first.actual_columns} values where "
        f"the header has {first.expected_columns} ({first.text[:60]!r}). {remedy}"
    )


def _check_names(path: Path, names: list[str], separator: str) -> None:
    others = [s for s in SEPARATORS if s != separator and s in names[0]]
    if len(names) == 1 and others:
        raise DataError(
            f"{path}: there is a single column, {names[0][:60]!r}. Is the separator "
            f"{others[0]!r}? Then say separator={others[0]!r}, or leave it out."
        )
    problem = suspicious_column(names)
    if problem:
        raise DataError(f"{path}: {problem}{header_hint(names)}")


def _check_encoding(path: Path, table: Any, encoding: str) -> None:
    import pyarrow

    for field in table.schema:
        if pyarrow.types.is_binary(field.type):
            raise DataError(
                f"{path}: column {field.name!r} is not {encoding} text. Say how it is "
                "written, for instance encoding='latin-1'."
            )
