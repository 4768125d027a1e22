"""Runs commands of ktune without training, and kills them where it is told to.

TensorFlow and MLflow are imported once; every command is a fork of this process, so
that a search costs what it does and not what its imports take. A request is a line of
JSON on standard input, the answer one on standard output:

    {"folder": ..., "words": [...], "write": 17, "how": "torn"}
    {"folder": ..., "words": [...], "seconds": 0.3}
    {"folder": ..., "words": [...], "registers": true}
    {"code": -9, "writes": ["mlflow create_run", ...]}

``write`` counts what is written to either database; just before that one the command
is killed, or gets a signal. ``seconds`` kills it at some time from outside. With
``registers`` a model that was not trained is registered at the end.
"""

import contextlib
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import mlflow
from no_training import ScoredModel, without_report, without_training
from optuna.storages.journal import JournalFileBackend

from ktune.cli.main import main
from ktune.data.preprocessing import prepare_refit
from ktune.diagnosis import Baselines, DataFacts
from ktune.diagnosis.references import References
from ktune.evaluation.refit import Trained, measured
from ktune.utils.runtime import Backend, import_keras

MLFLOW_WRITES = (
    "create_experiment",
    "create_run",
    "log_batch",
    "log_inputs",
    "log_artifacts",
    "set_tag",
    "set_terminated",
    "update_run",
    "create_logged_model",
    "log_model_artifacts",
    "finalize_logged_model",
    "log_outputs",
    "create_registered_model",
    "create_model_version",
    "set_logged_model_tags",
    "set_registered_model_tag",
    "set_registered_model_alias",
    "set_model_version_tag",
    "update_registered_model",
    "update_model_version",
)
WRITES = "writes.txt"
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}


class Countdown:
    """Notes every write in a file, and ends the process before a chosen one.

    Args:
        write: Which one, counted from 1; None: never.
        how: "kill", "torn" (killed amid a line of the journal), "term" or "int".
    """

    def __init__(self, write, how):
        self._last = write
        self._how = how
        self._file = Path(WRITES).open("w")  # noqa: SIM115  (death closes it)
        self._count = 0

    def watch(self):
        for name in MLFLOW_WRITES:
            self._watch_mlflow(name)
        self._watch_journal()

    def _watch_mlflow(self, name):
        original = getattr(mlflow.MlflowClient, name)

        def write(client, *args, **more):
            if self._is_last(f"mlflow {name}"):
                end(self._how)
            return original(client, *args, **more)

        setattr(mlflow.MlflowClient, name, write)

    def _watch_journal(self):
        original = JournalFileBackend.append_logs

        def append_logs(backend, logs):
            if self._is_last("optuna append_logs"):
                if self._how == "torn":
                    tear(backend, logs)
                end(self._how)
            original(backend, logs)

        JournalFileBackend.append_logs = append_logs

    def _is_last(self, name):
        self._count += 1
        print(name, file=self._file, flush=True)
        return self._count == self._last


def tear(backend, logs):
    """Write half a line with the lock held, as a process does that loses power."""
    assert backend._lock.acquire()
    with open(backend._file_path, "ab") as journal:
        line = json.dumps(logs[0]).encode()
        journal.write(line[: len(line) // 2])


def end(how):
    os.kill(os.getpid(), SIGNALS.get(how, signal.SIGKILL))


def run(request):
    """Run a command in this process, and end it."""
    os.chdir(request["folder"])
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    Countdown(request.get("write"), request.get("how")).watch()
    with registering() if request.get("registers") else contextlib.nullcontext():
        code = main(request["words"])
    sys.stdout.flush()
    os._exit(code)


def answer(request):
    """Run a command in a fork, and say how it ended."""
    pid = os.fork()
    if pid == 0:
        run(request)
    if "seconds" in request:
        time.sleep(request["seconds"])
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    written = Path(request["folder"], WRITES)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "writes": written.read_text().splitlines() if written.exists() else [],
    }


def say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def records_only():
    """Skip slow steps that do not write records."""
    from ktune.experiment.environment import read_environment

    # The real one would start TensorFlow's threads, which a fork does not have.
    with patch("ktune.experiment.environment.read_backend", Backend):
        environment = read_environment()
    references = References(Baselines(constant={}), DataFacts())
    with (
        without_training(),
        patch("ktune.tuner.request.read_environment", lambda: environment),
        # These kills come from outside and may hit one trial any number of times.
        patch("ktune.searchers.attempts.MOST_ATTEMPTS", 1_000_000),
        patch(
            "ktune.tuner.driver.measure_search_references", lambda *given: references
        ),
        without_report(),
    ):
        yield


@contextlib.contextmanager
def registering():
    """Refit and register after all, but without training."""
    from ktune.tuner.final_model import make_final_model

    with (
        patch("ktune.tuner.driver.make_final_model", make_final_model),
        patch("ktune.evaluation.recorded_refit.refit", refit_untrained),
        patch(
            "ktune.models.registry.loading_check.check_in_fresh_process",
            lambda *_: None,
        ),
    ):
        yield


def refit_untrained(context, trial, *, epochs, threshold):
    _, preprocessing = prepare_refit(
        context.partition, context.experiment.preprocess, context.kind
    )
    model = SavedModel(context.builder.model(trial.values).accuracy)
    trained = Trained(model, preprocessing, epochs)
    return measured(context, trained, seconds=0.0, threshold=threshold)


class SavedModel(ScoredModel):
    """Has a file like a model of Keras."""

    def predict(self, rows, **given):
        return self.predict_on_batch(rows)

    def save(self, path):
        Path(path).write_text("a model")


def warm_up(file):
    """Search once in this process: what is made at first use is there for all."""
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            assert main(["search", file, "-q", "--trials", "2"]) == 0


if __name__ == "__main__":
    import_keras()
    warnings.simplefilter("ignore")
    with records_only():
        warm_up(sys.argv[1])
        say({"code": 0})
        for line in sys.stdin:
            say(answer(json.loads(line)))
