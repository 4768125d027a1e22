"""Read a csv file as a table, with every malformed line found."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ktune.data.files import check_file, suspicious_column
from ktune.data.unpacking import read_packed
from ktune.errors import DataError
from ktune.utils.text import count_of

MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A")
"""What stands for a missing value, in numbers and text alike."""

_LARGEST_BLOCK = 2**31 - 1
_PACKED = (".gz", ".bz2", ".zst", ".lz4", ".br")  # what PyArrow knows by its ending
_SEPARATORS = (";", "\t", "|", ",")


def read_csv(
    path: Path,
    *,
    separator: str = ",",
    missing: Sequence[str] = (),
    encoding: str = "utf-8",
) -> pd.DataFrame:
    """Read a csv file, packed (``.gz``, ``.bz2`` …) or not; line 1 names the columns.

    The type of a column is read off all its values: whole numbers, numbers, booleans,
    dates, or else text.

    Args:
        path: The file.
        separator: Between two values.
        missing: What stands for a missing value, beside `MISSING`.
        encoding: Of the text.

    Raises:
        DataError: It is missing, empty, ragged, or not in this encoding.
    """
    import pyarrow

    check_file(path)
    ragged: list[Any] = []
    try:
        table = _parse(path, separator, (*MISSING, *missing), encoding, ragged)
    except (pyarrow.ArrowInvalid, OSError, UnicodeDecodeError, LookupError) as error:
        raise DataError(_unreadable(path, error)) from error
    _check_ragged(path, ragged, separator)
    _check_names(path, table.column_names, separator)
    _check_encoding(path, table, encoding)
    # Columns are handed over one by one, so that they are not all held twice.
    return table.to_pandas(
        date_as_object=False, self_destruct=True, split_blocks=True
    ).rename(columns=str)


def _parse(
    path: Path,
    separator: str,
    missing: tuple[str, ...],
    encoding: str,
    ragged: list[Any],
) -> Any:
    import pyarrow
    from pyarrow import csv

    def note(row: Any) -> str:
        ragged.append(row)
        return "skip"

    with pyarrow.input_stream(str(path)) as stream:
        is_packed = path.suffix.lower() in _PACKED
        content = read_packed(stream, path) if is_packed else stream.read_buffer()
        content = pyarrow.py_buffer(content)
    with _silent_about_encoding():
        return csv.read_csv(
            pyarrow.BufferReader(content),
            # Types are inferred from the first block, so all of the file is one; and
            # with one thread a malformed row knows its number.
            read_options=csv.ReadOptions(
                block_size=min(content.size + 1, _LARGEST_BLOCK),
                use_threads=False,
                encoding=encoding,
            ),
            parse_options=csv.ParseOptions(
                delimiter=separator, invalid_row_handler=note, newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(
                null_values=list(missing), strings_can_be_null=True
            ),
        )


@contextlib.contextmanager
def _silent_about_encoding() -> Iterator[None]:
    """Keep quiet about a ragged row in another encoding: the error tells of it.

    PyArrow decodes the row for its handler where no exception can get out.
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


def _check_ragged(path: Path, ragged: list[Any], separator: str) -> None:
    if not ragged:
        return
    first = ragged[0]
    raise DataError(
        f"{path}: {count_of(len(ragged), 'ragged row')}, first row {first.number}: it "
        f"has {first.actual_columns} values where the header has "
        f"{first.expected_columns} ({first.text[:60]!r}). Correct them: a value that "
        f"holds {separator!r} must stand in quotes."
    )


def _check_names(path: Path, names: list[str], separator: str) -> None:
    others = [s for s in _SEPARATORS if s != separator and s in names[0]]
    if len(names) == 1 and others:
        raise DataError(
            f"{path}: there is a single column, {names[0][:60]!r}. Is the separator "
            f"{others[0]!r}? Then say separator={others[0]!r}."
        )
    problem = suspicious_column(names)
    if problem:
        raise DataError(f"{path}: {problem}")


def _check_encoding(path: Path, table: Any, encoding: str) -> None:
    import pyarrow

    for field in table.schema:
        if pyarrow.types.is_binary(field.type):
            raise DataError(
                f"{path}: column {field.name!r} is not {encoding} text. Say how it is "
                "written, for instance encoding='latin-1'."
            )
