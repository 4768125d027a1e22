"""The final model of a search in the terminal: its test scores and costs."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from ktune.metrics.intervals import Estimate
from ktune.tracking.final_record import FinalRecord, ModelCosts
from ktune.tuner.result import SearchResult
from ktune.utils.text import count_of


def print_final(result: SearchResult, console: Console) -> None:
    """Print the final model: test scores, costs, and why it is an average or not."""
    if result.refit.problem:
        console.print(result.refit.problem, markup=False, soft_wrap=True)
    final = result.final
    if not result.test:
        _print_without_test(result, console)
    elif final is not None and final.is_average:
        console.print(_average_sentence(result, final), markup=False)
        _print_threshold(result, console)
        console.print(_table_of_both(result, final))
    else:
        console.print(_single_sentence(result), markup=False)
        _print_threshold(result, console)
        console.print(_table_of_one(result))
    if final is not None:
        model = "an average" if final.is_average else "the best trial alone"
        console.print(f"Final model: {model}; {final.reason}.", markup=False)


def estimate_text(estimate: Estimate) -> str:
    """Return a score with its interval.

    Example:
        >>> estimate_text(Estimate(0.973, 0.962, 0.981))
        '0.973 [0.962, 0.981]'
    """
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _print_without_test(result: SearchResult, console: Console) -> None:
    rows = result.view.params.get("n_test_rows", "?")
    why = (
        "There is no untouched test set (test_size=0)"
        if rows == "0"
        else f"Not yet measured on the {rows} untouched rows"
    )
    console.print(
        f"{why}: the scores above selected the model, so expect slightly lower "
        "scores on new data.",
        markup=False,
    )


def _single_sentence(result: SearchResult) -> str:
    best = result.trial_runs[0]
    epochs = count_of(int(result.view.metrics.get("refit_epochs", 0)), "epoch")
    return (
        f"Trial {best.number} refitted on all {result.view.params.get('n_rows', '?')} "
        f"rows for {epochs}, {_tested(result)}:"
    )


def _average_sentence(result: SearchResult, final: FinalRecord) -> str:
    n_rows = result.view.params.get("n_rows", "?")
    return (
        f"Average ({final.formula}), trained on all {n_rows} rows, {_tested(result)}:"
    )


def _tested(result: SearchResult) -> str:
    rows = result.view.params.get("n_test_rows", "?")
    return f"tested once on {rows} untouched rows (95 % intervals)"


def _print_threshold(result: SearchResult, console: Console) -> None:
    threshold = result.view.metrics.get("threshold")
    if threshold is not None:
        console.print(
            f"Labels are cut at the decision threshold {threshold:.3f}; the same cut "
            "at a half stand as ..._at_0.5.",
            markup=False,
        )


def _table_of_one(result: SearchResult) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2))
    for name, estimate in result.test.items():
        table.add_row("", name, estimate_text(estimate))
    return table


def _table_of_both(result: SearchResult, final: FinalRecord) -> Table:
    """Return the scores and costs of the average and of the best trial alone."""
    alone = result.refit.trial_test
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for title in ("", "", "average", f"trial {result.trial_runs[0].number} alone"):
        table.add_column(title)
    for name, estimate in result.test.items():
        single = estimate_text(alone[name]) if name in alone else ""
        table.add_row("", name, estimate_text(estimate), single)
    costs, single_costs = _costs(final.costs), _costs(final.single_costs)
    for (name, text), (_, single) in zip(costs, single_costs, strict=True):
        table.add_row("", name, text, single)
    table.add_row("", "version", str(final.version), str(final.single_version))
    return table


def _costs(costs: ModelCosts | None) -> Iterator[tuple[str, str]]:
    yield "parameters", "" if costs is None else f"{costs.n_parameters:,}"
    yield "latency", "" if costs is None else f"{costs.latency_ms:.1f} ms"
