"""The connection with a Ray cluster: one that runs, or one of this machine's own."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import ray

from ktune.errors import ExperimentError
from ktune.utils.runtime import diverted_stderr

_CONNECT_TIMEOUT = 5.0
_DEFAULT_PORT = 6379


@contextlib.contextmanager
def connected(
    address: str | None, *, cpus: float = 1, gpus: float = 0
) -> Iterator[None]:
    """Be connected with a cluster; one that was connected before is left so.

    Args:
        address: ``HOST:PORT`` of its head, or "auto" for the one this machine is part
            of. None: RAY_ADDRESS, else a cluster is started here for the time being.
        cpus: What a worker needs at least; see `count_places`.
        gpus: Likewise.

    Raises:
        ExperimentError: There is no cluster at the address, or no room in it.
    """
    if ray.is_initialized():
        count_places(cpus, gpus)
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _connect(address)
    try:
        count_places(cpus, gpus)
        yield
    finally:
        ray.shutdown()


def count_places(cpus: float, gpus: float) -> int:
    """Return how many workers of this size there is room for in the cluster.

    Raises:
        ExperimentError: There is room for none.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    places = sum(_places(node, cpus, gpus) for node in nodes)
    if not places:
        told = ", ".join(
            f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs"
            for node in nodes
        )
        raise ExperimentError(
            f"no machine of the Ray cluster has the {cpus:g} CPUs and {gpus:g} GPUs "
            f"that a trial is to have (`cpus`, `gpus`). There are: {told}."
        )
    return places


def _places(resources: Mapping[str, float], cpus: float, gpus: float) -> int:
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
    with _kept_handlers(), diverted_stderr():
        try:
            ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            failure = error
    if failure is not None:
        raise _no_cluster(address, str(failure)) from failure


def _require_listener(address: str) -> None:
    """Find out soon whether anybody is there; Ray itself would try for long.

    Raises:
        ExperimentError: Nobody is.
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
        "--head` and give the address it prints (`--ray-address HOST:6379`), or leave "
        "it out to have one started on this machine. If it is there, and asks for a "
        "token, set RAY_AUTH_MODE=token."
    )


@contextlib.contextmanager
def _kept_handlers() -> Iterator[None]:
    """Keep the meaning of SIGTERM, which `ray.init` takes for itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
