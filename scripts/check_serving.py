"""Does `ktune serve` answer many clients without errors, and with memory that is flat?

    python scripts/check_serving.py [--clients 8] [--seconds 20] [--most-growth 0.05]

Registers a small model in a folder of its own, serves it by `ktune serve`, and lets
clients send rows for some seconds, twice. Prints the requests, errors, latencies and
the memory of the server after each run. Exit code 1 after an error, or if the memory
has grown by more than allowed from the first run to the second.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

MODEL = "mlp"
JSON = {"Content-Type": "application/json"}
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Run:
    """What the clients have seen, and the memory of the server afterwards."""

    answers: Counter[str]
    seconds: list[float]
    n_bytes: int

    @property
    def n_errors(self) -> int:
        """Number of requests that were not answered with predictions."""
        return sum(self.answers.values()) - self.answers["200"]

    def show(self, name: str) -> None:
        """Print the run in one line."""
        slowest = sorted(self.seconds)
        at = [1000 * slowest[int(part * (len(slowest) - 1))] for part in (0.5, 0.99)]
        print(
            f"{name}: {len(slowest)} requests, {self.n_errors} errors "
            f"{dict(self.answers)}, median {at[0]:.0f} ms, 99 % {at[1]:.0f} ms, "
            f"memory {self.n_bytes / 2**20:.1f} MiB",
            flush=True,
        )


def main() -> int:
    """Serve, run the clients twice, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--most-growth", type=float, default=0.05)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        body = register(folder)
        with serving(folder) as (address, process):
            send(address, body, clients=arguments.clients, seconds=2)
            runs = []
            for name in ("first run", "second run"):
                answers, seconds = send(
                    address, body, clients=arguments.clients, seconds=arguments.seconds
                )
                runs.append(Run(answers, seconds, memory_of(process.pid)))
                runs[-1].show(name)
    first, second = runs
    growth = second.n_bytes / first.n_bytes - 1
    print(f"memory has changed by {growth:+.1%}")
    has_errors = first.n_errors or second.n_errors
    return int(bool(has_errors) or growth > arguments.most_growth)


def register(folder: str) -> bytes:
    """Register a small model in a store there; return a request with rows of it."""
    from ktune.utils.runtime import import_keras

    import_keras()
    from ktune.models.registry.registration import register
    from ktune.testing.models import TINY_MODELS
    from ktune.tracking.model_registry import CHAMPION
    from ktune.tracking.records import RunRecord
    from ktune.tracking.store import open_store, quiet_mlflow

    tiny = TINY_MODELS[MODEL]()
    store = open_store(f"sqlite:///{folder}/mlruns/mlflow.db", create=True)
    run = store.start_run(store.experiment_id(MODEL), RunRecord(MODEL, "RUNNING"))
    with quiet_mlflow():
        register(store, tiny.package, name=MODEL, run_id=run, tags={}, alias=CHAMPION)
    split = json.loads(tiny.rows.head(5).to_json(orient="split"))
    return json.dumps({"dataframe_split": split}).encode()


@contextlib.contextmanager
def serving(folder: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve the model for the block; yields the address and the process."""
    words = [sys.executable, "-m", "ktune", "serve", MODEL]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(r"answers at (\S+)/invocations", line):
                    yield found.group(1), process
                    break
            else:
                raise SystemExit("`ktune serve` has ended")
        finally:
            process.send_signal(signal.SIGINT)


def send(
    address: str, body: bytes, *, clients: int, seconds: float
) -> tuple[Counter[str], list[float]]:
    """Send requests from several clients; return the answers and their latencies."""
    end = time.monotonic() + seconds
    answers: Counter[str] = Counter()
    latencies: list[float] = []
    with ThreadPoolExecutor(clients) as pool:
        for found, taken in pool.map(
            lambda _: be_client(address, body, end), range(clients)
        ):
            answers += found
            latencies += taken
    return answers, latencies


def be_client(
    address: str, body: bytes, end: float
) -> tuple[Counter[str], list[float]]:
    """Send one request after another until the end."""
    answers: Counter[str] = Counter()
    seconds = []
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    while (started := time.monotonic()) < end:
        try:
            connection.request("POST", "/invocations", body, JSON)
            answer = connection.getresponse()
            content = json.loads(answer.read())
            is_complete = answer.status == 200 and len(content["predictions"]) == 5
            answers["200" if is_complete else str(answer.status)] += 1
        except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
            connection.close()
            answers[type(error).__name__] += 1
        seconds.append(time.monotonic() - started)
    connection.close()
    return answers, seconds


def memory_of(pid: int) -> int:
    """Return the resident bytes of a process and all its children."""
    own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(memory_of(int(child)) for child in children)


if __name__ == "__main__":
    sys.exit(main())
