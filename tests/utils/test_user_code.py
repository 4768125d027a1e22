"""Code of the user changes nothing of the process that runs it."""

import os
import random
import signal
import sys

import keras
import numpy as np
import pytest

from ktune.data.dataset import DataDescription, Task
from ktune.evaluation.model_builder import ModelBuilder
from ktune.experiment.experiment import Experiment
from ktune.utils.user_code import contained


def state():
    return {
        "folder": os.getcwd(),
        "interrupt": signal.getsignal(signal.SIGINT),
        "end": signal.getsignal(signal.SIGTERM),
        "output": (sys.stdout, sys.stderr, sys.stdout.closed),
        "errors": np.geterr(),
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "policy": keras.config.dtype_policy().name,
    }


def spoil():
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: None)
    sys.stdout.close()
    sys.stderr = None
    np.seterr(all="raise")
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(0.1)
    keras.config.set_dtype_policy("mixed_float16")


def build_and_spoil(hp):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    hp.Int("units", 1, 3)
    spoil()
    return model


def spoil_and_fail():
    spoil()
    raise ZeroDivisionError


@pytest.mark.parametrize("use", ["declare", "model", "settings"])
def test_a_builder_that_changes_the_process_changes_nothing_of_ktune(use):
    data = DataDescription(
        "made up", Task.BINARY, input_shape=(3,), n_outputs=2, n_rows=9
    )
    experiment = Experiment(
        name="a",
        data=([[0.0]], [0]),
        build=build_and_spoil,
        fit=lambda hp: spoil() or {"epochs": 1},
    )
    builder = ModelBuilder(experiment, data)
    before = state()
    argument = keras_tuner_hp() if use == "declare" else {"units": 1}
    getattr(builder, use)(argument)
    assert state() == before


def keras_tuner_hp():
    import keras_tuner

    return keras_tuner.HyperParameters()


def test_an_error_restores_the_process_too(capfd):
    before = state()
    with pytest.raises(ZeroDivisionError), contained():
        spoil_and_fail()
    assert state() == before
    with contained():
        os.close(1)
    os.write(1, b"still open")
    assert "still open" in capfd.readouterr().out


def test_the_random_state_is_restored_on_request():
    random.seed(1)
    np.random.seed(1)
    with contained(restores_random_state=True):
        wanted = random.random(), np.random.rand()
        random.seed(9)
        np.random.seed(9)
    assert (random.random(), np.random.rand()) == wanted


def test_a_removed_working_folder_is_no_error(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with contained():
        pass
