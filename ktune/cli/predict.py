"""Predict with a registered model: class names and probabilities for new rows.

MODEL is NAME (its champion), NAME@ALIAS, NAME/VERSION or an MLflow model URI. DATA is a
csv, xlsx, parquet, npz or npy file, or a folder of images. Rows are raw, as in the
search; the model includes its preprocessing and the format of its training file, so
that a csv file of the same format is read without options.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from ktune.cli.exit_codes import DONE
from ktune.cli.options import add_json_option, add_store_option, print_json
from ktune.utils.text import count_of, say

_SHOWN_ROWS = 20
_SHOWN_CLASSES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``predict``."""
    parser.add_argument("model", metavar="MODEL", help="for instance mnist@champion")
    parser.add_argument("data", metavar="DATA", type=Path, help="file or image folder")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write all predictions to this .csv, .parquet, .json or .npz",
    )
    parser.add_argument(
        "--array",
        metavar="NAME",
        help="the array of features in an npz file, if it has several",
    )
    _add_format_options(parser)
    add_store_option(parser)
    add_json_option(parser)


def _add_format_options(parser: argparse.ArgumentParser) -> None:
    """Declare how a table is written, where it differs from the training file."""
    group = parser.add_argument_group(
        "how a table is written, where it differs from the one trained on"
    )
    add = group.add_argument
    add("--separator", metavar="MARK", help="between values, for instance ';' or tab")
    add("--decimal", metavar="MARK", help="before decimals, for instance ','")
    add("--thousands", metavar="MARK", help="between groups of three digits")
    add("--encoding", metavar="NAME", help="of the text, for instance latin-1")
    add("--comment", metavar="MARK", help="lines that begin with it are no rows")
    add("--sheet", metavar="NAME", help="of a workbook with several sheets")
    add(
        "--missing",
        metavar="WORD",
        action="append",
        help="stands for a missing value; may be repeated",
    )
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether line 1 names the columns",
    )


def _written(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a `ktune.data.TableFormat` that options state."""
    names = ("separator", "decimal", "thousands", "encoding", "comment", "sheet")
    fields = {name: getattr(arguments, name) for name in (*names, "missing", "header")}
    if fields["separator"] in ("tab", "\\t"):
        fields["separator"] = "\t"
    return {name: value for name, value in fields.items() if value is not None}


def run(arguments: argparse.Namespace) -> int:
    """Predict, and write or print the outcome."""
    from ktune.data.dataset import Task
    from ktune.models.prediction.fitting import load_rows
    from ktune.models.prediction.outcome import (
        check_output,
        predict_rows,
        write_predictions,
    )
    from ktune.models.registry.reference import find_model
    from ktune.models.registry.stored_model import open_model
    from ktune.tracking.store import open_store
    from ktune.utils.runtime import import_keras

    if arguments.output is not None:
        check_output(arguments.output)
    store = open_store(arguments.tracking_uri)
    found = find_model(store, arguments.model)
    with open_model(store, found) as model:
        rows = load_rows(
            arguments.data, model.spec, arguments.array, _written(arguments)
        )
        import_keras()
        if model.task is Task.CUSTOM:
            return _run_custom(model, rows, arguments)
        table = predict_rows(model, rows)
    for note in rows.notes:
        say(f"{rows.name}: {note}", file=sys.stderr)
    if arguments.output is not None:
        write_predictions(table, arguments.output)
    if arguments.json:
        records = table.astype(object).to_dict("records")
        print_json({"model": found.label, "predictions": records})
    elif arguments.output is not None:
        predicted = count_of(len(table), "row")
        say(f"{predicted} predicted by {found.label}: {arguments.output}")
    else:
        _print_head(table, found.label)
    return DONE


def _run_custom(model: Any, rows: Any, arguments: argparse.Namespace) -> int:
    """Write or print the outputs of a custom task, which may be arrays."""
    from ktune.models.prediction.outcome import (
        as_table,
        predict_outputs,
        write_outputs,
    )

    outputs = predict_outputs(model, rows)
    for note in rows.notes:
        say(f"{rows.name}: {note}", file=sys.stderr)
    label, table = model.found.label, as_table(outputs)
    n_rows = len(next(iter(outputs.values())))
    if arguments.output is not None:
        write_outputs(outputs, arguments.output)
    if arguments.json:
        lists = {name: part.tolist() for name, part in outputs.items()}
        print_json({"model": label, "predictions": lists})
    elif arguments.output is not None:
        say(f"{count_of(n_rows, 'row')} predicted by {label}: {arguments.output}")
    elif table is not None:
        _print_head(table, label)
    else:
        _print_shapes(outputs, label, n_rows)
    return DONE


def _print_shapes(outputs: Any, label: str, n_rows: int) -> None:
    from ktune.cli.tables import make_table, print_table

    printed = make_table("output", "shape of a row", "lowest", "mean", "highest")
    for name, part in outputs.items():
        if part.dtype.kind in "iuf":
            numbers = (part.min(), part.mean(), part.max())
            shown = (_shown(float(number)) for number in numbers)
            printed.add_row(name, str(part.shape[1:]), *shown)
    print_table(printed, empty="")
    say(f"{count_of(n_rows, 'row')} predicted by {label}; arrays: add -o FILE.npz")


def _print_head(table: Any, label: str) -> None:
    from rich.text import Text

    from ktune.cli.tables import make_table, print_table

    shown = list(table.columns)[: _SHOWN_CLASSES + 2]
    printed = make_table("row", *shown)
    for index, row in enumerate(table[shown].head(_SHOWN_ROWS).itertuples(index=False)):
        printed.add_row(str(index), *(Text(_shown(value)) for value in row))
    print_table(printed, empty="")
    rest = len(table) - _SHOWN_ROWS
    hidden = len(table.columns) - len(shown)
    more = [count_of(rest, "more row")] if rest > 0 else []
    more += [count_of(hidden, "more column")] if hidden else []
    end = f"; {' and '.join(more)}: add -o FILE.csv" if more else ""
    say(f"{count_of(len(table), 'row')} predicted by {label}{end}")


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
