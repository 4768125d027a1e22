"""Two to eight trials side by side: tests over folds, verdicts, values, curves.

`read_comparison` reads them from MLflow, `compare` compares what was read,
`write_comparison` makes the page; the tables of its `page` serve the
terminal too.
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
