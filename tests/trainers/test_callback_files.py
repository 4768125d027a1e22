"""Callbacks that write files: a folder for each trial and fold."""

import keras
import numpy as np
import pytest

from ktune.data.dataset import DataDescription, Task
from ktune.data.preprocessing import PreparedFold
from ktune.errors import ExperimentError
from ktune.experiment.fit_settings import FitSettings
from ktune.protocols import TrainingTask
from ktune.trainers import choose_trainer
from ktune.trainers.callback_files import note_on_files
from ktune.trainers.callbacks import make_callbacks

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
ROWS = np.arange(40)


def build():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    auc = keras.metrics.AUC(name="auc")
    model.compile("sgd", "binary_crossentropy", metrics=[auc])
    return model


def task(callbacks, n_validation):
    folds = [
        PreparedFold(k, X, Y, ROWS[:20], ROWS[:10], ROWS[20 : 20 + n_validation])
        for k in range(2 if n_validation else 1)
    ]
    data = DataDescription("rows", Task.BINARY, (3,), 2, 40, ("0", "1"))
    settings = FitSettings(epochs=2, callbacks=callbacks)
    seeds = range(1, 1 + len(folds))
    return TrainingTask(build, folds, settings, seeds, data, label="trial-3")


@pytest.mark.parametrize("n_validation", [20, 0])
def test_each_fold_of_each_trial_writes_to_a_folder_of_its_own(
    n_validation, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monitor = "val_auc" if n_validation else "loss"
    callbacks = [
        keras.callbacks.ModelCheckpoint("out/best.keras", monitor, save_best_only=True),
        lambda: keras.callbacks.CSVLogger("log.csv"),
    ]
    made = task(callbacks, n_validation)
    training = choose_trainer("keras_fit", made).start(made)
    for _ in range(2):
        training.run_epoch()
    training.close()
    parts = ["fold-0", "fold-1"] if n_validation else ["refit"]
    expected = {f"trial-3/{part}/log.csv" for part in parts}
    if n_validation:
        expected |= {f"out/trial-3/{part}/best.keras" for part in parts}
    written = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert expected <= written
    assert not {"log.csv", "out/best.keras"} & written
    assert "out" not in {p.parent.name for p in tmp_path.rglob("*.keras")}


def test_the_folder_of_tensorboard_is_below_its_own():
    callback = keras.callbacks.TensorBoard("logs")
    (made,) = make_callbacks([callback], "trial-1/fold-0")
    assert made.log_dir.replace("\\", "/") == "logs/trial-1/fold-0"
    assert callback.log_dir == "logs"


def test_a_callback_that_restores_another_training_is_refused():
    backup = keras.callbacks.BackupAndRestore("backup")
    with pytest.raises(ExperimentError, match="--resume"):
        make_callbacks([backup])


def test_files_are_announced_once_and_only_if_there_are_any():
    rate = keras.callbacks.ReduceLROnPlateau()
    assert note_on_files([rate]) == ()
    (note,) = note_on_files([keras.callbacks.CSVLogger("a"), rate])
    assert "CSVLogger" in note
    assert "trial-0/fold-0/" in note
