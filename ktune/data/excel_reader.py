"""Read a sheet of a workbook (xlsx, xls, ods) as a table."""

import csv
import datetime
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ktune.data.csv_reader import Expected, read_text
from ktune.data.files import check_file
from ktune.data.table_format import ReadTable, TableFormat
from ktune.errors import DataError
from ktune.utils.text import did_you_mean

ENDINGS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_AS_WRITTEN = TableFormat()
_AS_CSV: dict[str, Any] = {
    "separator": ",",
    "decimal": ".",
    "thousands": "",
    "encoding": "utf-8",
    "comment": "",
}


def read_excel(
    path: Path, given: TableFormat = _AS_WRITTEN, expected: Expected | None = None
) -> ReadTable:
    """Read a sheet; its cells are interpreted like the values of a csv file.

    Args:
        path: Path of the file.
        given: Table format of the user, with the sheet if there are several.
        expected: Types of the columns of the training rows, if known.

    Raises:
        DataError: The file is missing or not a workbook, or ``ktune[excel]`` is not
            installed.
    """
    check_file(path)
    try:
        workbook = pd.ExcelFile(path, engine="calamine")
        with workbook:
            sheets = [str(sheet) for sheet in workbook.sheet_names]
            sheet = _choose_sheet(sheets, given.sheet, path)
            cells = pd.read_excel(
                workbook, sheet_name=sheet, header=None, dtype=object, na_filter=False
            ).to_numpy()
    except DataError:
        raise
    except ImportError as error:
        raise DataError(
            f"{path}: workbooks need the extra: pip install 'ktune[excel]'. Or save "
            "the sheet as a csv file."
        ) from error
    except Exception as error:  # calamine's errors have no common class
        raise DataError(f"{path}: no readable workbook ({error}).") from error
    read = read_text(_as_csv(cells), path, replace(given, **_AS_CSV), expected)
    assert read.format is not None
    return replace(read, format=replace(given, text=read.format.text, sheet=sheet))


def _choose_sheet(sheets: Sequence[str], wanted: str | None, path: Path) -> str:
    listed = ", ".join(map(repr, sheets))
    if wanted is None:
        if len(sheets) == 1:
            return sheets[0]
        raise DataError(
            f"{path}: there are {len(sheets)} sheets: {listed}. Say which, for "
            f"instance sheet={sheets[0]!r}."
        )
    if wanted not in sheets:
        raise DataError(
            f"{path}: there is no sheet {wanted!r}. Sheets: {listed}."
            + did_you_mean(wanted, sheets)
        )
    return wanted


def _as_csv(cells: Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in cells:
        if any(_text(cell) for cell in row):
            writer.writerow([_text(cell) for cell in row])
    return text.getvalue().encode()


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))  # a workbook stores all numbers as floats
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return "" if cell is None else str(cell)
