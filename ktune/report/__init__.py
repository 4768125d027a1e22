"""The report of a search: one HTML file with verdict, curves, tables and remedies.

`read_report` reads a search from MLflow, `render_report` renders the page, and
`write_report` writes it to a file.
"""

from ktune.report.page import render_report, write_report
from ktune.report.reading import (
    read_context,
    read_report,
    read_search_view,
    read_trial_view,
)
from ktune.report.view import Importance, SearchReport

__all__ = [
    "Importance",
    "SearchReport",
    "read_context",
    "read_report",
    "read_search_view",
    "read_trial_view",
    "render_report",
    "write_report",
]
