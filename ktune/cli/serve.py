"""Serve a registered model with MLflow's scoring server, on this machine only.

MODEL is NAME (its champion), NAME@ALIAS, NAME/VERSION or an MLflow model URI. The
server runs in this Python environment and answers POST requests at /invocations. When
it is ready, a curl command with the example rows of the model is printed.
"""

import argparse
import tempfile
from pathlib import Path

from ktune.cli.options import add_store_option, at_least_one, bytes_of
from ktune.cli.request_checks import Limits
from ktune.cli.waiting import wait_for_end
from ktune.utils.text import say

PORT = 5001


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``serve``."""
    parser.add_argument("model", metavar="MODEL", help="for instance mnist@champion")
    parser.add_argument("--port", type=int, default=PORT, help="default: %(default)s")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="interface to listen on; any but 127.0.0.1 allows other machines",
    )
    parser.add_argument(
        "--max-body",
        type=bytes_of,
        default=Limits.max_body,
        metavar="SIZE",
        help="largest body of a request (default: 10MB)",
    )
    parser.add_argument(
        "--max-depth",
        type=at_least_one,
        default=Limits.max_depth,
        metavar="N",
        help="deepest nesting of JSON in a request (default: %(default)s)",
    )
    add_store_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve the model until Ctrl-C."""
    from ktune.cli.server import free_port, scoring_server
    from ktune.models.registry.reference import find_model
    from ktune.models.registry.stored_model import open_model
    from ktune.tracking.store import open_store

    store = open_store(arguments.tracking_uri)
    found = find_model(store, arguments.model)
    with open_model(store, found) as model, tempfile.TemporaryDirectory() as folder:
        port = free_port(arguments.host, arguments.port)
        log = Path(folder, "server.log")
        say(f"Starting MLflow's scoring server on {found.label} …", flush=True)
        limits = Limits(arguments.max_body, arguments.max_depth)
        with scoring_server(
            model.folder, host=arguments.host, port=port, log=log, limits=limits
        ) as server:
            server.wait_until_ready()
            say(f"{found.label} answers at {server.address}/invocations. Try it:")
            say(_curl(server.address, model.folder))
            say(
                f"A request may have {limits.max_body / 1e6:g} MB (--max-body) and "
                f"{limits.max_depth} levels of JSON (--max-depth)."
            )
            say("Stop it with Ctrl-C.", flush=True)
            return wait_for_end(server)


def _curl(address: str, folder: Path) -> str:
    """Return a request with the example rows of the model."""
    return (
        f"  curl {address}/invocations -H 'Content-Type: application/json' "
        f"-d @{folder / 'serving_input_example.json'}"
    )
