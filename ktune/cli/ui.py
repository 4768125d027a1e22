"""Browse searches in MLflow's web page, on the right store and with few resources."""

import argparse
import tempfile
from pathlib import Path

from ktune.cli.exit_codes import DONE
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
    from ktune.tracking.page import page_address
    from ktune.tracking.store import open_store

    store = open_store(arguments.tracking_uri)
    if store.location.database is None:
        print(f"This store is a server with a page of its own: {store.location.uri}")
        return DONE
    port = free_port(arguments.host, arguments.port)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "server.log")
        print("Starting MLflow's page …", flush=True)
        with Server(store.location, host=arguments.host, port=port, log=log) as server:
            server.wait_until_ready()
            address = page_address(store, server.address)
            print(f"MLflow's page: {address}\nStop it with Ctrl-C.", flush=True)
            if arguments.open:
                _open(address)
            return _serve(server)


def _serve(server: "Server") -> int:  # type: ignore[name-defined]  # noqa: F821
    try:
        return int(server.wait())
    except KeyboardInterrupt:
        print("stopped")
        return DONE


def _open(address: str) -> None:
    import webbrowser

    webbrowser.open(address)
