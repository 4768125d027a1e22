"""A store on a device that is full or read-only: a clear end, and nothing lost."""

import contextlib
import json
import shutil
import subprocess

import mlflow
import pytest

from ktune.cli.main import main
from ktune.errors import StoreError
from ktune.experiment.loading import load_experiment
from ktune.listener import Listener
from ktune.tuner.search import search

pytestmark = pytest.mark.slow

FILE = """
import keras
from keras import layers
import ktune

def build(hp):
    hidden = layers.Dense(hp.Int("units", 2, 64), activation="relu")
    output = layers.Dense(1, activation="sigmoid")
    return keras.Sequential([layers.Input((30,)), hidden, output])

experiment = ktune.Experiment(
    name="tiny", data=ktune.data.breast_cancer(), build=build, cv=2, trials=4,
    sampler="random", pruner="none", fit={"epochs": 1},
)
"""


@pytest.fixture
def device(empty_store, tmp_path, monkeypatch):
    """A folder on a small device of its own, with an empty store in it."""
    folder = tmp_path / "device"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a file system")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_store, folder / "mlruns" / "mlflow.db")
    (folder / "tiny.py").write_text(FILE)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield folder
    monkeypatch.chdir(tmp_path)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Filler(Listener):
    """Fills the device while the second trial is running."""

    def __init__(self, device):
        self._ballast = device / "ballast"

    def on_trial_start(self, trial):
        if trial.number == 1:
            with (
                self._ballast.open("wb", buffering=0) as file,
                contextlib.suppress(OSError),
            ):
                while True:
                    file.write(bytes(2**12))


def run(**given):
    return search(load_experiment("tiny.py"), **given)


def test_a_search_that_runs_out_of_room_goes_on_when_there_is_some(device):
    with pytest.raises(StoreError, match=r"no space is left .*Free space .*--resume"):
        run(listener=Filler(device))
    (device / "ballast").unlink()
    result = run(listener=Listener(), resume=True)
    assert result.trials["trial"].tolist() == [0, 1, 2, 3]
    assert set(result.trials["state"]) == {"complete"}
    client = mlflow.MlflowClient(result.store.location.uri)
    runs = client.search_runs([result.view.experiment_id])
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    (journal,) = device.glob("mlruns/studies/*.log")
    for line in journal.read_text().splitlines():
        json.loads(line)


VERBS = (["search", "tiny.py", "-q"], ["runs"], ["show"], ["report"], ["doctor"])


def test_a_read_only_store_is_an_error_of_every_verb(device, capsys):
    files = sorted(device.rglob("*"))
    remount = ["mount", "-o", "remount,ro", str(device)]
    subprocess.run(remount, check=True)
    for words in VERBS:
        assert main(words) == 2, words
        printed = capsys.readouterr()
        told = " ".join((printed.out + printed.err).split())
        assert "cannot be written" in told or "is read-only" in told, words
        assert "Traceback" not in told
    assert sorted(device.rglob("*")) == files
