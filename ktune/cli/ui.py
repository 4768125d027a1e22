"""Browse searches in MLflow's web page, on the right store and with few resources."""

import argparse
import tempfile
import webbrowser
from pathlib import Path

from ktune.cli.exit_codes import DONE
from ktune.cli.options import add_store_option
from ktune.cli.waiting import wait_for_end
from ktune.utils.text import say

PORT = 5000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ui``."""
    parser.add_argument("--port", type=int, default=PORT, help="default: %(default)s")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="interface to listen on; any but 127.0.0.1 allows other machines",
    )
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    add_store_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from ktune.cli.server import free_port, page_server
    from ktune.tracking.page import page_states
    from ktune.tracking.store import open_store, quiet_mlflow, store_errors

    store = open_store(arguments.tracking_uri)
    if store.location.is_server:
        say(f"This store is a server with a page of its own: {store.location.uri}")
        return DONE
    port = free_port(arguments.host, arguments.port)
    with tempfile.TemporaryDirectory() as folder:
        say("Starting MLflow's page …", flush=True)
        with quiet_mlflow(), store_errors(store.location):
            states = page_states(store)
        server = page_server(
            store.location,
            host=arguments.host,
            port=port,
            log=Path(folder, "server.log"),
            page_state=states,
        )
        with server:
            server.wait_until_ready()
            page = f"{server.address}/ktune"
            say(f"MLflow's page: {page}\nStop it with Ctrl-C.", flush=True)
            if arguments.open:
                webbrowser.open(page)
            return wait_for_end(server)
