"""Searches without training, killed and resumed until they end: their stories.

`kill_server.py` runs them and kills them before a chosen write to the study or to
MLflow, so also between the two. Used by `tests/integration/test_kills.py` and by
`scripts/check_kills.py`.
"""

import contextlib
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import mlflow
import optuna

from ktune.tracking import names

TRIALS = 6
FIRST_OF_RESUMED = 11  # the pre-flight makes some writes in a study of no consequence
FAR = 20  # writes later a process is killed at the latest
MOST_DISTURBANCES = 6
HOWS = ["kill", "kill", "torn", "term", "int"]

FILE = """
import numpy as np
import ktune
from no_training import ScoredModel

def build(hp):
    units = hp.Int("units", 1, 1000)
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    if units % 5 == 0:
        raise ValueError("units may not be a multiple of five")
    return ScoredModel(0.6 + 0.3 * units / 1000 - rate)

y = np.arange(60) % 2
experiment = ktune.Experiment(
    name="nothing", data=(np.random.default_rng(0).normal(size=(60, 3)), y),
    build=build, cv=2, fit={"epochs": 2, "early_stopping": False}, deterministic=False,
)
"""
SEARCH = ["search", "nothing.py", "-q", "--trials", str(TRIALS), "--sampler"]


@contextlib.contextmanager
def running_server(folder):
    """Start the process that runs commands and kills them.

    Yields:
        A function of a request, which returns the answer.
    """
    file = folder / "nothing.py"
    file.write_text(FILE)
    # A fork may not find itself without the threads of a library.
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = {**os.environ, **threads}
    environment.pop("MLFLOW_TRACKING_URI", None)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    words = [sys.executable, str(Path(__file__).with_name("kill_server.py")), str(file)]
    with subprocess.Popen(words, env=environment, **pipes) as process:
        assert json.loads(process.stdout.readline()) == {"code": 0}

        def ask(**request):
            print(json.dumps(request), file=process.stdin, flush=True)
            return SimpleNamespace(**json.loads(process.stdout.readline()))

        yield ask
        process.stdin.close()


def make_project(server, folder, empty_store):
    """Return a folder with the experiment and an empty store."""
    (folder / "mlruns").mkdir(parents=True)
    shutil.copy(empty_store, folder / "mlruns" / "mlflow.db")
    (folder / "nothing.py").write_text(FILE)
    return Project(server, folder)


class Project:
    """A folder with an experiment, and the records of its newest search."""

    def __init__(self, server, folder):
        self._server = server
        self.folder = folder
        self.log = folder / "log.txt"

    def run(self, words, **kill):
        return self._server(folder=str(self.folder), words=words, **kill)

    def begin(self, sampler, **kill):
        return self.run([*SEARCH, sampler], **kill)

    def resume(self, **kill):
        return self.run(["search", "nothing.py", "-q", "--resume"], **kill)

    def records(self):
        client = mlflow.MlflowClient(f"sqlite:///{self.folder}/mlruns/mlflow.db")
        [experiment] = client.search_experiments(filter_string="name = 'nothing'")
        runs = client.search_runs([experiment.experiment_id])
        search = next(r for r in runs if r.data.tags[names.KIND] == names.SEARCH)
        run_id = search.info.run_id
        trials = [r for r in runs if r.data.tags.get(names.PARENT) == run_id]
        return StoredSearch(search, trials, self._study(run_id))

    def assert_has_one_version(self):
        """Check that one model is registered, and stands where pages look for it."""
        client = mlflow.MlflowClient(f"sqlite:///{self.folder}/mlruns/mlflow.db")
        [version] = client.search_model_versions("name = 'nothing'")
        version = client.get_model_version("nothing", version.version)
        assert version.aliases == ["champion"]
        assert version.tags[names.GATE].startswith("champion since")
        assert version.description.startswith("# ")
        logged = client.get_logged_model(version.tags[names.LOGGED_MODEL])
        assert json.loads(logged.tags["mlflow.modelVersions"]) == [
            {"name": "nothing", "version": int(version.version)}
        ]
        folder = Path(logged.artifact_location.removeprefix("file://"))
        assert (folder / "artifacts" / "model.keras").read_text() == "a model"

    def assert_is_at_rest(self, records):
        """Check that a signal has left complete records, and said how to go on."""
        # A signal during the final writes is handled after them.
        is_over = len(records.finished) == TRIALS and records.status == "FINISHED"
        assert is_over or records.status == "KILLED", records.status
        assert is_over or "--resume" in self.log.read_text(), self.log.read_text()
        assert "RUNNING" not in self.states()
        assert len(records.in_study) == len(records.finished)

    def states(self):
        """Return the status of every run there is."""
        client = mlflow.MlflowClient(f"sqlite:///{self.folder}/mlruns/mlflow.db")
        ids = [e.experiment_id for e in client.search_experiments()]
        return [run.info.status for run in client.search_runs(ids)]

    def _study(self, run_id):
        journal = self.folder / "mlruns" / "studies" / f"{run_id}.log"
        backend = optuna.storages.journal.JournalFileBackend(str(journal))
        storage = optuna.storages.JournalStorage(backend)
        return optuna.load_study(study_name="nothing", storage=storage).get_trials()


class StoredSearch:
    """The records of one search in MLflow and Optuna, each read by its own client."""

    def __init__(self, search, runs, study):
        self.status = search.info.status
        self.runs = runs
        finished = [
            run
            for run in runs
            if run.info.status != "RUNNING"
            and run.data.tags[names.STATE] != names.INTERRUPTED
        ]
        self.finished = {int(r.data.tags[names.TRIAL_NUMBER]): r for r in finished}
        assert len(self.finished) == len(finished), "a trial is in MLflow twice"
        assert sorted(self.finished) == list(range(len(finished))), "a gap in MLflow"
        known = [t for t in study if "state" in t.user_attrs.get("ktune.result", {})]
        self.in_study = {t.user_attrs["ktune.number"]: t for t in known}
        assert len(self.in_study) == len(known), "the study has a trial twice"
        # MLflow comes first, and is at most one trial ahead.
        assert len(self.finished) - len(self.in_study) in (0, 1)
        for number, trial in self.in_study.items():
            self._compare(self.finished[number], trial)

    def _compare(self, run, trial):
        result = trial.user_attrs["ktune.result"]
        assert run.data.tags[names.STATE] == result["state"]
        assert run.data.params == {n: str(v) for n, v in trial.params.items()}
        # Read from the study alone where the process died before Optuna had the result.
        if trial.state is optuna.trial.TrialState.COMPLETE:
            assert run.data.metrics["val_accuracy"] == trial.value
        trial_file = Path(run.info.artifact_uri.removeprefix("file://"), "trial.json")
        record = json.loads(trial_file.read_text())
        assert record["result"]["score"] == result["score"]

    def content(self):
        """What is the same in every search, however often it was killed."""
        return {
            number: (
                run.info.status,
                run.data.tags[names.STATE],
                run.data.params,
                {n: v for n, v in run.data.metrics.items() if n != "fit_seconds"},
            )
            for number, run in self.finished.items()
        }

    def assert_holds(self, earlier):
        """Check that what was finished earlier has not been touched."""
        for number, run in earlier.finished.items():
            assert run.info.run_id == self.finished[number].info.run_id
            assert run.info.end_time == self.finished[number].info.end_time

    def assert_finished(self):
        assert self.status == "FINISHED"
        assert all(run.info.status != "RUNNING" for run in self.runs)
        assert len(self.in_study) == len(self.finished)
        states = [trial.state.name for trial in self.in_study.values()]
        assert "RUNNING" not in states


def undisturbed_by(project):
    """Return a function that returns the records of an uninterrupted search."""

    @functools.cache
    def run(sampler):
        place = project("undisturbed")
        answer = place.begin(sampler)
        assert answer.code == 0, place.log.read_text()
        records = place.records()
        records.assert_finished()
        return SimpleNamespace(content=records.content(), writes=answer.writes)

    return run


def first_resumable(writes):
    """Return how many writes come before a study that can be gone on with."""
    start = writes.index("mlflow log_inputs")
    return start + writes[start:].index("optuna append_logs") + 2


def moment(generator, first, end=1000):
    """Return how and before which write a process is killed, or gets a signal."""
    write = generator.randrange(first, min(end, first + FAR))
    return {"write": write, "how": generator.choice(HOWS)}


def moment_of_resumed(generator):
    """Return the same, or a time of its own, for a search that is resumed."""
    if generator.random() < 0.2:
        return {"seconds": generator.uniform(0.1, 0.8)}
    return moment(generator, FIRST_OF_RESUMED)


def check_story(seed, project, undisturbed):
    """Kill a search and its resumes at moments drawn by a seed, until it ends.

    Its records must hold at all times, and end as those of an undisturbed search.

    Returns:
        The number of kills and signals by their exit code.
    """
    drawn = random.Random(f"story {seed}")
    sampler, registers = drawn.choice(["random", "tpe"]), drawn.random() < 0.5
    wanted = undisturbed(sampler)
    place = project(f"story{seed}")
    n_writes = len(wanted.writes)
    planned = moment(drawn, first_resumable(wanted.writes), n_writes + 1)
    answer = place.begin(sampler, registers=registers, **planned)
    codes, records = Counter(), None
    while answer.code != 0:
        codes[answer.code] += 1
        is_signal = planned.get("how") in ("term", "int")
        expected = 130 if is_signal else -signal.SIGKILL
        assert answer.code == expected, place.log.read_text()
        earlier, records = records, place.records()
        if earlier is not None:
            records.assert_holds(earlier)
        if is_signal:
            place.assert_is_at_rest(records)
        is_last = codes.total() == MOST_DISTURBANCES
        planned = {} if is_last else moment_of_resumed(drawn)
        answer = place.resume(registers=registers, **planned)
    records = place.records()
    records.assert_finished()
    assert records.content() == wanted.content
    if registers:
        place.assert_has_one_version()
    return codes
