"""Tables in the terminal."""

import sys
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def make_table(*columns: str) -> Table:
    """Return an empty table with these columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


MANY_ROWS = 500
"""From here on a table is printed plainly: Rich takes 2 ms a row."""


def print_table(table: Table, *, empty: str) -> None:
    """Print a table, or a sentence when it has no rows."""
    if table.row_count >= MANY_ROWS:
        sys.stdout.write("\n".join(plain_lines(table)) + "\n")
        return
    # A file or pipe has no width: give the lines room instead of folding them.
    width = None if sys.stdout.isatty() else 200
    # Names and values are the user's: square brackets are no markup.
    console = Console(file=sys.stdout, highlight=False, markup=False, width=width)
    console.print(table if table.row_count else empty)


def plain_lines(table: Table) -> list[str]:
    """Return a table as text, every row on one line however long.

    Example:
        >>> table = make_table("trial", "values")
        >>> table.add_row("7", "units=3")
        >>> plain_lines(table)
        ['trial  values', '-----  -------', '7      units=3']
    """
    columns = []
    for column in table.columns:
        cells = [str(cell) for cell in (column.header, *column.cells)]
        width = max(map(len, cells))
        pad = str.rjust if column.justify == "right" else str.ljust
        lines = [cells[0], "-" * width, *cells[1:]]
        columns.append([pad(line, width) for line in lines])
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]


def rich_table(content: Any) -> Table:
    """Return a `ktune.report.tables.Table` for the terminal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in content.columns:
        table.add_column(column.title, justify="right" if column.is_number else "left")
    for row in content.rows:
        table.add_row(*row.cells, style="bold" if row.is_marked else "")
    return table
