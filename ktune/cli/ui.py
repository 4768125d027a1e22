"""Browse searches in MLflow's web page, on the right store and with few resources."""

import argparse
import signal
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from ktune.cli.exit_codes import DONE, FAULT
from ktune.cli.options import add_store_option

PORT = 5000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ui``."""
    parser.add_argument("--port", type=int, default=PORT, help="default: %(default)s")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="interface to listen on; anything but 127.0.0.1 lets others in",
    )
    parser.add_argument("--open", action="store_true", help="open it in a browser")
    add_store_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from ktune.server import Server, free_port
    from ktune.tracking.page import page_states
    from ktune.tracking.store import open_store, quiet_mlflow, store_errors

    store = open_store(arguments.tracking_uri)
    if store.location.database is None:
        print(f"This store is a server with a page of its own: {store.location.uri}")
        return DONE
    port = free_port(arguments.host, arguments.port)
    with tempfile.TemporaryDirectory() as folder:
        print("Starting MLflow's page …", flush=True)
        with quiet_mlflow(), store_errors(store.location):
            states = page_states(store)
        server = Server(
            store.location,
            host=arguments.host,
            port=port,
            log=Path(folder, "server.log"),
            page_state=states,
        )
        with server:
            server.wait_until_ready()
            print(f"MLflow's page: {server.page}\nStop it with Ctrl-C.", flush=True)
            if arguments.open:
                webbrowser.open(server.page)
            return _serve(server)


def _serve(server: Any) -> int:
    # `kill` ends the page as Ctrl-C does; the server is a process group of its own.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return FAULT if server.wait() else DONE
    except KeyboardInterrupt:
        print("stopped")
        return DONE
