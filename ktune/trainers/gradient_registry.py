"""Remove gradients of finished trainings from TensorFlow's gradient registry."""

import inspect
import sys
from typing import Any

SUM_OVER_REPLICAS = "ReplicaContextBase.all_reduce."
"""Qualified name of the function that defines the gradient of an optimizer's sum.

As of TensorFlow 2.21.
"""


def forget_gradients_of_optimizer_steps() -> None:
    """Remove the gradients that TensorFlow registered for Keras's optimizers.

    A step sums its gradients over all replicas. Each trace of that sum permanently
    registers a gradient under a new name, which holds the graph: 6 MiB for a small
    model (keras-tuner#873). The step of an optimizer is never differentiated, so its
    gradient is not needed. Gradients of other functions are kept, since a saved model
    may use them.
    """
    registry = _registry()
    for name, gradient in list(registry.items()):
        if name.startswith("CustomGradient-") and _is_of_sum(gradient.get("type")):
            registry.pop(name, None)


def _registry() -> dict[str, dict[str, Any]]:
    """Return TensorFlow's gradients by name; {} if TensorFlow is not imported."""
    operations = sys.modules.get("tensorflow.python.framework.ops")
    registry = getattr(operations, "gradient_registry", None)
    by_name = getattr(registry, "_registry", None)
    return by_name if isinstance(by_name, dict) else {}


def _is_of_sum(gradient: Any) -> bool:
    """Whether a registered gradient wraps that of a sum over replicas."""
    wrapped = _enclosed(_enclosed(gradient, "tape_grad_fn"), "grad_fn")
    return getattr(wrapped, "__qualname__", "").startswith(SUM_OVER_REPLICAS)


def _enclosed(function: Any, name: str) -> Any:
    """Return the value of a nonlocal variable of a function."""
    if not inspect.isfunction(function):
        return None
    return inspect.getclosurevars(function).nonlocals.get(name)
