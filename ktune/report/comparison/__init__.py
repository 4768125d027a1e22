"""Comparison of two to eight trials: tests over folds, verdicts, values, curves.

`read_comparison` reads the trials from MLflow, `compare` tests their differences, and
`write_comparison` writes the page. The terminal shows the tables of `page` too.
"""

from ktune.report.comparison.comparing import compare
from ktune.report.comparison.page import (
    duels_table,
    render_comparison,
    scores_table,
    sizes_table,
    values_table,
    write_comparison,
)
from ktune.report.comparison.reading import read_comparison
from ktune.report.comparison.view import MOST_CONTENDERS, Comparison, Contender, Duel

__all__ = [
    "MOST_CONTENDERS",
    "Comparison",
    "Contender",
    "Duel",
    "compare",
    "duels_table",
    "read_comparison",
    "render_comparison",
    "scores_table",
    "sizes_table",
    "values_table",
    "write_comparison",
]
