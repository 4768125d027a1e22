"""Write a registered model in other formats, each compared with it on real rows.

MODEL is NAME (its champion), NAME@ALIAS, NAME/VERSION or an MLflow model URI. Every
file is run in a process of its own by its format's own runtime. A file that does not
agree with the registered model is deleted, and the exit code is 1. It is 2 if a format
cannot hold the model. No existing file is overwritten.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from ktune.cli.exit_codes import DONE, FAULT, MISTAKE
from ktune.cli.options import add_json_option, add_store_option, print_json
from ktune.cli.working import working
from ktune.utils.text import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``export``."""
    parser.add_argument("model", metavar="MODEL", help="for instance mnist@champion")
    parser.add_argument(
        "--to",
        default="keras",
        metavar="FORMAT,…",
        help="keras, savedmodel, tflite, tflite_float16, tflite_int8, onnx "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="new or empty folder for the files (default: NAME-VERSION here)",
    )
    parser.add_argument(
        "--rows",
        type=Path,
        metavar="DATA",
        help="rows to compare on (default: the test rows of the search)",
    )
    add_store_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Export, and print the comparison of each file."""
    from ktune.errors import ExportRefused
    from ktune.models.export.exporters import choose_exporters
    from ktune.models.registry.reference import find_model
    from ktune.models.registry.stored_model import open_model
    from ktune.tracking.store import open_store

    formats = [word.strip() for word in arguments.to.split(",")]
    exporters = choose_exporters(formats)
    store = open_store(arguments.tracking_uri)
    found = find_model(store, arguments.model)
    folder = arguments.output or Path(found.label.replace("/", "-"))
    try:
        with working(arguments) as listener:
            from ktune.models.export.exporting import export_model

            with open_model(store, found) as model:
                export = export_model(
                    store,
                    model,
                    exporters,
                    folder,
                    given_rows=arguments.rows,
                    on_phase=listener.on_phase,
                )
    except ExportRefused as refusal:
        say(f"refused, nothing is written: {refusal}", file=sys.stderr)
        return FAULT
    if arguments.json:
        print_json(export.as_dict())
    else:
        _print_export(export)
    for reason in export.refused.values():
        say(f"not written: {reason}", file=sys.stderr)
    return _exit_code(export)


def _exit_code(export: Any) -> int:
    """Return 1 for a file that disagrees, 2 for a format that cannot hold the model."""
    if export.disagreeing:
        return FAULT
    return MISTAKE if export.refused else DONE


def _print_export(export: Any) -> None:
    from ktune.cli.tables import make_table, print_table
    from ktune.models.tolerance import tolerance_for

    table = make_table("format", "file", "KiB", "rows", "difference", "on the test set")
    for file in export.files:
        table.add_row(
            file.format,
            file.path,
            f"{file.n_bytes / 1024:,.0f}",
            str(file.n_rows),
            f"{file.difference:.1e}",
            _score_text(file),
        )
    print_table(table, empty="")
    say(f"{export.model} in {export.folder}/, compared on {export.rows}")
    if export.compute_type != "float32":
        say(
            f"Its layers compute in {export.compute_type}, so outputs may differ by up "
            f"to {tolerance_for(export.compute_type):.0e}."
        )
    if export.not_inside:
        say(
            f"The preprocessing is not embedded: {export.not_inside}. It is saved "
            "beside the model in preprocessing.skops; preprocessing.json describes "
            "its use."
        )
    else:
        say("The preprocessing is embedded: pass raw rows.")


def _score_text(file: Any) -> str:
    if file.agreement is None:
        return ""
    text = f"agrees {file.agreement:.1%}"
    if file.quantized:
        text += f"; integers: {file.quantized}"
    if file.score is None:
        return text
    change = file.exported_score - file.score
    return (
        f"{file.metric} {file.score:.4f} → {file.exported_score:.4f} ({change:+.4f}), "
        f"{text}"
    )
