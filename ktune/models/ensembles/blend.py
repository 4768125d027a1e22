"""Combine the predictions of several models."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ktune.data.dataset import Task


class Blend(Protocol):
    """Some models of a library, and a function that combines their predictions."""

    @property
    def members(self) -> tuple[int, ...]:
        """Positions of the models in the library."""
        ...

    def weights(self) -> tuple[float, ...]:
        """Return the weight of each member."""
        ...

    def apply(self, predictions: np.ndarray) -> np.ndarray:
        """Combine the predictions of the members, shape (members, rows, …)."""
        ...

    def layers(self, outputs: list[Any]) -> Any:
        """Combine outputs of Keras models that are predictions."""
        ...


@dataclass(frozen=True)
class Mean:
    """A weighted mean.

    Attributes:
        members: Positions in the library.
        shares: One per member; they sum to one.
    """

    members: tuple[int, ...]
    shares: tuple[float, ...]

    def weights(self) -> tuple[float, ...]:
        """Return the shares."""
        return self.shares

    def apply(self, predictions: np.ndarray) -> np.ndarray:
        """Return the weighted mean over members."""
        shares = np.asarray(self.shares, np.float32)
        return np.tensordot(shares, predictions, axes=1)

    def layers(self, outputs: list[Any]) -> Any:
        """Scale and add with layers that Keras can load without ktune."""
        from keras import layers

        scaled = [
            layers.Rescaling(share, name=f"share_{place}")(output)
            for place, (share, output) in enumerate(
                zip(self.shares, outputs, strict=True)
            )
        ]
        if len(scaled) == 1:
            return scaled[0]
        return layers.Add(name="mean")(scaled)


@dataclass(frozen=True, eq=False)
class LinearStack:
    """A linear model on top of the members' predictions.

    Attributes:
        members: Positions in the library.
        kernel: Shape (members · columns, outputs).
        bias: Shape (outputs,).
        task: The task; it determines the activation after the linear part.
    """

    members: tuple[int, ...]
    kernel: np.ndarray
    bias: np.ndarray
    task: Task

    def weights(self) -> tuple[float, ...]:
        """Return the share of absolute coefficients of each member."""
        parts = np.abs(self.kernel).reshape(len(self.members), -1).sum(axis=1)
        return tuple(float(part) for part in parts / max(parts.sum(), 1e-12))

    def apply(self, predictions: np.ndarray) -> np.ndarray:
        """Return the outputs of the linear model for the members' predictions."""
        linear = side_by_side(predictions) @ self.kernel + self.bias
        if self.task is Task.MULTICLASS:
            powers = np.exp(linear - linear.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))
        if self.task is Task.BINARY:
            return np.asarray(1 / (1 + np.exp(-linear[:, 0])))
        return linear[:, 0] if linear.shape[1] == 1 else linear

    def layers(self, outputs: list[Any]) -> Any:
        """Concatenate, and apply a dense layer with these weights."""
        from keras import layers

        after = {Task.MULTICLASS: "softmax", Task.BINARY: "sigmoid"}.get(self.task)
        dense = layers.Dense(len(self.bias), activation=after, name="stack")
        members = (
            layers.Concatenate(name="members")(outputs)
            if len(outputs) > 1
            else outputs[0]
        )
        result = dense(members)
        dense.set_weights([self._kernel_for(outputs), self.bias])
        return result

    def _kernel_for(self, outputs: list[Any]) -> np.ndarray:
        """Return the kernel for outputs with one or two columns for two classes."""
        if self.task is not Task.BINARY or outputs[0].shape[-1] == 1:
            return self.kernel
        kernel = np.zeros((2 * len(self.kernel), 1), np.float32)
        kernel[1::2] = self.kernel  # the column of class 1
        return kernel


def side_by_side(predictions: np.ndarray) -> np.ndarray:
    """Return the columns of all members concatenated, shape (rows, …)."""
    columns = [part.reshape(len(part), -1) for part in predictions]
    return np.concatenate(columns, axis=1)
