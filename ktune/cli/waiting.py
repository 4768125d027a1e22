"""Let a server run until the user stops it."""

import signal
from typing import TYPE_CHECKING

from ktune.cli.exit_codes import DONE, FAULT
from ktune.utils.text import say

if TYPE_CHECKING:  # `--help` must not wait for it
    from ktune.cli.server import Server


def wait_for_end(server: "Server") -> int:
    """Wait for Ctrl-C or the end of the server; return the exit code."""
    # `kill` ends it like Ctrl-C; the server has its own process group.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return FAULT if server.wait() else DONE
    except KeyboardInterrupt:
        say("stopped")
        return DONE
