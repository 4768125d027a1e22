"""Read a table of new rows in the format of the training table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ktune.data.csv_layout import cut, find_layout
from ktune.data.csv_reader import PACKED, Expected, read_content, read_text
from ktune.data.excel_reader import ENDINGS, read_excel
from ktune.data.table_format import ReadTable, TableFormat, format_from_dict

_TEXT_ENDINGS = (".csv", ".tsv", ".txt")


def is_table(path: Path, spec: Mapping[str, Any]) -> bool:
    """Whether a file is a table, by its suffix or by the training file of the model."""
    ending = path.suffix.lower()
    if ending in (*_TEXT_ENDINGS, *PACKED, *ENDINGS):
        return True
    return spec.get("reading") is not None and ending not in (".py", "")


def read_new_table(
    path: Path, spec: Mapping[str, Any], written: Mapping[str, Any]
) -> ReadTable:
    """Read a csv file or a sheet of a workbook.

    Args:
        path: The file.
        spec: Specification of the model, with the format of its training file; older
            versions have none, so that the format is detected.
        written: Fields of a `TableFormat` in which this file differs.

    Raises:
        DataError: The file is not readable, or a numeric column contains text.
    """
    given = _format(spec, written)
    expected = Expected(_number_columns(spec))
    if path.suffix.lower() in ENDINGS:
        return read_excel(path, given, expected)
    content = read_content(path)
    if "encoding" not in written and _is_utf8(content):
        given = replace(given, encoding=None)
    layout = find_layout(content, given, path)
    given = _with_header(given, layout.content, layout.format, spec, written)
    return read_text(content, path, given, expected)


def _format(spec: Mapping[str, Any], written: Mapping[str, Any]) -> TableFormat:
    trained = format_from_dict(spec.get("reading"))
    missing = (*trained.missing, *written.get("missing", ()))
    given = replace(trained, **{**written, "missing": missing})
    not_missing = [
        w for w in trained.not_missing if w not in written.get("missing", ())
    ]
    return replace(given, not_missing=tuple(not_missing))


def _number_columns(spec: Mapping[str, Any]) -> tuple[str, ...]:
    text = set(spec["text_columns"])
    return tuple(name for name in spec["columns"] if name not in text)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _with_header(
    given: TableFormat,
    content: bytes,
    found: TableFormat,
    spec: Mapping[str, Any],
    written: Mapping[str, Any],
) -> TableFormat:
    """Determine whether line 1 is a header, and the names of a file without one."""
    line = content.lstrip().partition(b"\n")[0].decode("utf-8", "replace")
    cells = cut(line.rstrip("\r"), found.separator or ",")
    has_header = written.get("header")
    if has_header is None:
        has_header = _is_header(
            cells, spec["columns"], given.header and not given.names
        )
    if has_header:
        return replace(given, header=True, names=())
    names = next(
        (
            tuple(names)
            for names in (spec["columns"], given.names)
            if len(names) == len(cells)
        ),
        (),
    )
    return replace(given, header=False, names=names)


def _is_header(
    cells: Sequence[str], columns: Sequence[str], trained_with_header: bool
) -> bool:
    if not columns:
        return not all(map(_is_number, cells)) or _counts(cells)
    if set(columns) <= set(cells):
        return trained_with_header or not all(map(str.isdigit, columns))
    if _counts(columns) and all(map(_is_number, cells)):
        return False  # unnamed columns, as of a DataFrame of an array
    return trained_with_header


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells are 0, 1, 2 …, the names that pandas gives to unnamed columns."""
    return list(cells) == [str(index) for index in range(len(cells))] and len(cells) > 1


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*", cell))
