"""graph: the contract, and when it hands over."""

from ktune.runtime import import_keras

import_keras()

from ktune.testing.trainers import TrainerContract  # noqa: E402
from ktune.trainers.graph import GraphTrainer  # noqa: E402


class TestGraph(TrainerContract):
    def make_trainer(self):
        return GraphTrainer()
