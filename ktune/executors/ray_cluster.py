"""Connect to a running Ray cluster, or to a new one on this machine."""

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import ray

from ktune.errors import ClusterLost, ExperimentError
from ktune.utils.runtime import diverted_stderr

_CONNECT_TIMEOUT = 5.0
_DEFAULT_PORT = 6379

CHECK_SECONDS = 1.0
"""Seconds between two checks whether the processes of Ray still listen."""

_AGENT, _HEAD = "agent on this machine (raylet)", "server on the head (gcs_server)"
_REFUSED_CHECKS = {_AGENT: 3, _HEAD: 30}  # some clusters restart the server


@contextlib.contextmanager
def connected(
    address: str | None, *, cpus: float = 1, gpus: float = 0
) -> Iterator[None]:
    """Connect to a cluster for the block; an existing connection is kept.

    Args:
        address: ``HOST:PORT`` of its head, or "auto" for the cluster of this machine.
            None: RAY_ADDRESS, or else a temporary cluster on this machine.
        cpus: CPUs per worker; see `count_workers`.
        gpus: GPUs per worker.

    Raises:
        ExperimentError: There is no cluster at the address, or no room in it.
    """
    if ray.is_initialized():
        count_workers(cpus, gpus)
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _connect(address)
    try:
        count_workers(cpus, gpus)
        yield
    except (ClusterLost, GeneratorExit):
        raise  # without its agent, `ray.shutdown` would end this process
    except BaseException:
        ray.shutdown()
        raise
    else:
        ray.shutdown()


class ClusterWatch:
    """Notices that the agent of this machine, or the server of the head, has died.

    Ray itself ends this process without a message, 15 seconds later.
    """

    def __init__(self) -> None:
        here = ray.get_runtime_context()
        nodes = {node["NodeID"]: node for node in ray.nodes()}
        node = nodes[here.get_node_id()]
        self._addresses = {
            _AGENT: (node["NodeManagerAddress"], int(node["NodeManagerPort"])),
            _HEAD: _host_and_port(here.gcs_address),
        }
        self._refused = dict.fromkeys(self._addresses, 0)
        self._next_check = 0.0

    def check(self) -> None:
        """Check that both still listen, unless just checked.

        Raises:
            ClusterLost: One of them has refused several connections in a row.
        """
        if time.monotonic() < self._next_check:
            return
        for name, address in self._addresses.items():
            self._refused[name] = 1 + self._refused[name] if _refuses(address) else 0
            if self._refused[name] == _REFUSED_CHECKS[name]:
                raise ClusterLost(f"Ray's {name} has died")
        self._next_check = time.monotonic() + CHECK_SECONDS


def _refuses(address: tuple[str, int]) -> bool:
    """Whether no process listens; a machine that does not answer may be busy."""
    try:
        socket.create_connection(address, _CONNECT_TIMEOUT).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def count_workers(cpus: float, gpus: float) -> int:
    """Return the number of workers of this size that the cluster can hold.

    Raises:
        ExperimentError: It cannot hold any.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    n_workers = sum(_worker_count(node, cpus, gpus) for node in nodes)
    if not n_workers:
        available = ", ".join(
            f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs"
            for node in nodes
        )
        raise ExperimentError(
            f"no machine of the Ray cluster has the {cpus:g} CPUs and {gpus:g} GPUs "
            f"that a trial needs (`cpus`, `gpus`). There are: {available}."
        )
    return n_workers


def _worker_count(resources: Mapping[str, float], cpus: float, gpus: float) -> int:
    wanted = {"CPU": cpus, "GPU": gpus}
    return min(
        int(resources.get(name, 0.0) / share) for name, share in wanted.items() if share
    )


def _connect(address: str) -> None:
    options: dict[str, Any] = {
        "address": address,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if address == "local":
        options["include_dashboard"] = False
    else:
        _require_listener(address)
    failure: Exception | None = None
    with _preserved_handlers(), diverted_stderr():
        try:
            ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            failure = error
    if failure is not None:
        raise _no_cluster(address, str(failure)) from failure


def _require_listener(address: str) -> None:
    """Check that a server listens at the address; Ray itself would retry for long.

    Raises:
        ExperimentError: No server listens.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        place = (host or address, int(port) if host else _DEFAULT_PORT)
        socket.create_connection(place, _CONNECT_TIMEOUT).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, reason: str) -> ExperimentError:
    return ExperimentError(
        f"there is no Ray cluster at {address!r} ({reason}). Start one by `ray start "
        "--head` and give the address it prints (`--ray-address HOST:6379`), or omit "
        "the address to start a cluster on this machine. If the cluster requires a "
        "token, set RAY_AUTH_MODE=token."
    )


@contextlib.contextmanager
def _preserved_handlers() -> Iterator[None]:
    """Restore the handler of SIGTERM, which `ray.init` replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
