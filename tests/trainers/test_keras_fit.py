"""keras_fit: the contract, and what only it can do."""

from ktune.runtime import import_keras

import_keras()

from ktune.testing.trainers import TrainerContract  # noqa: E402
from ktune.trainers.keras_fit import KerasFitTrainer  # noqa: E402


class TestKerasFit(TrainerContract):
    def make_trainer(self):
        return KerasFitTrainer()
