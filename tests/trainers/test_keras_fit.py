"""keras_fit: the contract, and what only it can do."""

from ktune.runtime import import_keras

import_keras()

import pytest  # noqa: E402

from ktune.testing.trainers import TrainerContract  # noqa: E402
from ktune.trainers.keras_fit import KerasFitTrainer  # noqa: E402


class TestKerasFit(TrainerContract):
    def make_trainer(self):
        return KerasFitTrainer()

    # Each fold is a model of its own here, whatever the architecture.
    @pytest.mark.parametrize("name", ["random"])
    def test_fold_in_step_equals_fold_alone(self, name):
        super().test_fold_in_step_equals_fold_alone(name)
