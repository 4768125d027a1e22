"""A multilayer perceptron in plain numpy and a trainer for it.

It trains a hundred epochs of five folds in a second without TensorFlow, so that what
reads learning curves can be tested on real ones. A build function returns a
`TinyNetwork` instead of a Keras model.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ktune.data.dataset import Task
from ktune.data.preprocessing import PreparedFold
from ktune.errors import TrialFailed
from ktune.protocols import FoldEpoch, TrainingTask

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # as Keras's Adam


@dataclass(frozen=True)
class TinyNetwork:
    """What network to train; just enough of a Keras model to pass for one.

    Attributes:
        hidden: Units of each hidden layer.
        learning_rate: Of Adam, or of plain gradient descent.
        optimizer: "adam" or "sgd".
        dropout: Share of hidden units dropped while training.
        weight_decay: Share of the weights taken off in a step, times learning rate.
        activation: "relu" or "tanh".
        initial_scale: Factor on the initial weights.
    """

    hidden: tuple[int, ...] = (32,)
    learning_rate: float = 0.003
    optimizer: str = "adam"
    dropout: float = 0.0
    weight_decay: float = 0.0
    activation: str = "relu"
    initial_scale: float = 1.0
    compiled: bool = True

    def compile(self) -> None:
        """Do nothing: it is compiled."""

    def fit(self) -> None:
        """Do nothing: `TinyTrainer` trains it."""


class TinyTrainer:
    """Trains every fold of a `TinyNetwork`."""

    name = "tiny"

    def start(self, task: TrainingTask) -> "TinyTraining":
        """Draw the initial weights of every fold."""
        return TinyTraining(task)


class TinyTraining:
    """All folds of a trial in training."""

    wants_to_stop = False
    summary = "tiny network"

    def __init__(self, task: TrainingTask) -> None:
        network = task.build()
        self._folds = [
            _FoldTraining(network, fold, task, seed)
            for fold, seed in zip(task.folds, task.seeds, strict=True)
        ]

    @property
    def n_parameters(self) -> int:
        """Weights of one network."""
        return sum(weights.size for weights in self._folds[0].weights)

    def run_epoch(self) -> list[FoldEpoch]:
        """Train every fold for one more epoch and score it."""
        return [fold.run_epoch() for fold in self._folds]

    def model(self, fold_index: int) -> Any:
        """Return the weights of a fold."""
        return self._folds[fold_index].weights

    def close(self) -> None:
        """Nothing to give back."""


@dataclass
class _Adam:
    """Moments of all weights."""

    first: list[np.ndarray] = field(default_factory=list)
    second: list[np.ndarray] = field(default_factory=list)
    steps: int = 0

    def step(
        self, weights: list[np.ndarray], gradients: list[np.ndarray], rate: float
    ) -> None:
        if not self.first:
            self.first = [np.zeros_like(w) for w in weights]
            self.second = [np.zeros_like(w) for w in weights]
        self.steps += 1
        scale = rate * np.sqrt(1 - _BETA_2**self.steps) / (1 - _BETA_1**self.steps)
        for w, g, m, v in zip(weights, gradients, self.first, self.second, strict=True):
            m += (1 - _BETA_1) * (g - m)
            v += (1 - _BETA_2) * (g * g - v)
            w -= scale * m / (np.sqrt(v) + _EPSILON)


class _FoldTraining:
    """One fold."""

    def __init__(
        self, network: TinyNetwork, fold: PreparedFold, task: TrainingTask, seed: int
    ) -> None:
        self._network = network
        self._fold = fold
        self._task = task.data.task
        self._batch_size = task.settings.batch_size
        self._rng = np.random.default_rng(seed)
        self._x = np.asarray(fold.x, dtype=np.float64).reshape(len(fold.y), -1)
        self._targets = _encode(fold.y, self._task, task.data.n_outputs)
        self._adam = _Adam()
        sizes = [self._x.shape[1], *network.hidden, self._targets.shape[1]]
        self.weights: list[np.ndarray] = []
        for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
            limit = network.initial_scale * np.sqrt(6 / (n_in + n_out))  # Glorot
            self.weights.append(self._rng.uniform(-limit, limit, (n_in, n_out)))
            self.weights.append(np.zeros(n_out))

    def run_epoch(self) -> FoldEpoch:
        order = self._rng.permutation(self._fold.train)
        with np.errstate(all="ignore"):
            for start in range(0, len(order), self._batch_size):
                self._train_batch(order[start : start + self._batch_size])
            return self._score()

    def _train_batch(self, rows: np.ndarray) -> None:
        layers, masks = self._forward(self._x[rows], is_training=True)
        # Cross-entropy and squared error share this gradient at the output.
        delta = (_activate_output(layers[-1], self._task) - self._targets[rows]) / len(
            rows
        )
        if self._task is Task.REGRESSION:
            delta = 2 * delta
        gradients: list[np.ndarray] = []
        for layer in range(len(self.weights) // 2 - 1, -1, -1):
            below = layers[layer]
            gradients[:0] = [below.T @ delta, delta.sum(axis=0)]
            if layer:
                slope = self._slope(below) * masks[layer - 1]
                delta = (delta @ self.weights[2 * layer].T) * slope
        self._descend(gradients)

    def _descend(self, gradients: list[np.ndarray]) -> None:
        network = self._network
        if network.optimizer == "adam":
            self._adam.step(self.weights, gradients, network.learning_rate)
        else:
            for w, g in zip(self.weights, gradients, strict=True):
                w -= network.learning_rate * g
        if network.weight_decay:
            for w in self.weights:
                w *= 1 - network.learning_rate * network.weight_decay

    def _forward(
        self, x: np.ndarray, *, is_training: bool = False
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        layers, masks = [x], []
        n_layers = len(self.weights) // 2
        for layer in range(n_layers):
            z = layers[-1] @ self.weights[2 * layer] + self.weights[2 * layer + 1]
            if layer < n_layers - 1:
                z = np.tanh(z) if self._network.activation == "tanh" else z * (z > 0)
                keep = 1 - self._network.dropout
                mask = np.ones_like(z)
                if is_training and keep < 1:
                    mask = (self._rng.random(z.shape) < keep) / keep
                masks.append(mask)
                z = z * mask
            layers.append(z)
        return layers, masks

    def _slope(self, activation: np.ndarray) -> np.ndarray:
        if self._network.activation == "tanh":
            return 1 - activation**2
        return (activation > 0).astype(np.float64)

    def _score(self) -> FoldEpoch:
        train, validation = self._fold.train_sample, self._fold.validation
        train_loss, train_predictions = self._predict(train)
        validation_loss, validation_predictions = self._predict(validation)
        if not (np.isfinite(train_loss) and np.isfinite(validation_loss)):
            raise TrialFailed(f"the loss is {train_loss}")
        return FoldEpoch(
            train_loss, validation_loss, train_predictions, validation_predictions
        )

    def _predict(self, rows: np.ndarray) -> tuple[float, np.ndarray]:
        layers, _ = self._forward(self._x[rows])
        outputs = _activate_output(layers[-1], self._task)
        loss = _loss(outputs, self._targets[rows], self._task)
        predictions = outputs.astype(np.float32)
        is_column = self._task in (Task.BINARY, Task.REGRESSION)
        return loss, predictions[:, 0] if is_column else predictions


def _encode(y: np.ndarray, task: Task, n_outputs: int) -> np.ndarray:
    if task is Task.MULTICLASS:
        return np.eye(n_outputs)[y]
    return y.reshape(len(y), -1).astype(np.float64)


def _activate_output(z: np.ndarray, task: Task) -> np.ndarray:
    if task is Task.MULTICLASS:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    return z if task is Task.REGRESSION else 1 / (1 + np.exp(-z))


def _loss(outputs: np.ndarray, targets: np.ndarray, task: Task) -> float:
    if task is Task.REGRESSION:
        return float(np.mean((outputs - targets) ** 2))
    p = np.clip(outputs, 1e-7, 1 - 1e-7)
    if task is Task.MULTICLASS:
        return float(-np.mean(np.sum(targets * np.log(p), axis=1)))
    return float(-np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p)))
