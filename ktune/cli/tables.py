"""Tables in the terminal."""

import sys
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ktune.utils.terminal import make_console
from ktune.utils.text import say


def make_table(*columns: str) -> Table:
    """Return an empty table with these columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


MANY_ROWS = 500
"""Number of rows from which a table is printed as plain text: Rich takes 2 ms a row."""


def print_table(table: Table, *, empty: str) -> None:
    """Print a table, or the sentence ``empty`` if it has no rows."""
    if table.row_count >= MANY_ROWS:
        say("\n".join(plain_lines(table)))
        return
    # A file or pipe has no width: use long lines instead of folding.
    width = None if sys.stdout.isatty() else 200
    console = make_console(sys.stdout, width=width)
    console.print(table if table.row_count else empty)


def plain_lines(table: Table) -> list[str]:
    """Return a table as text with one line per row.

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
