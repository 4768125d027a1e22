"""keras_fit: the contract, and what only it can do."""

from ktune.utils.runtime import import_keras

import_keras()

import pytest  # noqa: E402

from ktune.testing.trainers import (  # noqa: E402
    TrainerContract,
    assert_same,
    build_random,
    make_task,
    only,
)
from ktune.trainers import keras_fit  # noqa: E402
from ktune.trainers.keras_fit import KerasFitTrainer  # noqa: E402


class TestKerasFit(TrainerContract):
    def make_trainer(self):
        return KerasFitTrainer()

    # Each fold is a model of its own here, whatever the architecture.
    @pytest.mark.parametrize("name", ["random"])
    def test_fold_among_others_equals_fold_alone(self, name):
        super().test_fold_among_others_equals_fold_alone(name)


def test_rows_streamed_batch_by_batch_train_the_same(monkeypatch):
    task = only(make_task(build_random, (6,)), 0)
    (copied,) = KerasFitTrainer().start(task).run_epoch()
    monkeypatch.setattr(keras_fit, "MAX_COPY_BYTES", 0)
    (streamed,) = KerasFitTrainer().start(task).run_epoch()
    assert_same(copied, streamed)
