"""What TensorFlow's registry of gradients would keep of trainings that are over."""

import inspect
import sys
from typing import Any

SUM_OVER_REPLICAS = "ReplicaContextBase.all_reduce."
"""Where the gradient of an optimizer's sum is defined (TensorFlow 2.21)."""


def forget_gradients_of_optimizer_steps() -> None:
    """Drop the gradients that Keras's optimizers made TensorFlow register.

    A step sums its gradients over all replicas. Each time that sum is traced, a
    gradient of its own is registered under a new name and for good, and holds the
    graph: 6 MiB a small model (keras-tuner#873). Nobody differentiates through the step
    of an optimizer. Gradients of other functions stay, since a saved model may have
    them.
    """
    registry = _registry()
    for name, entry in list(registry.items()):
        if name.startswith("CustomGradient-") and _is_of_a_sum(entry.get("type")):
            registry.pop(name, None)


def _registry() -> dict[str, dict[str, Any]]:
    """Return TensorFlow's names and gradients; none where it is not in use."""
    operations = sys.modules.get("tensorflow.python.framework.ops")
    registry = getattr(operations, "gradient_registry", None)
    found = getattr(registry, "_registry", None)
    return found if isinstance(found, dict) else {}


def _is_of_a_sum(gradient: Any) -> bool:
    """Whether a registered gradient wraps that of a sum over replicas."""
    wrapped = _enclosed(_enclosed(gradient, "tape_grad_fn"), "grad_fn")
    return getattr(wrapped, "__qualname__", "").startswith(SUM_OVER_REPLICAS)


def _enclosed(function: Any, name: str) -> Any:
    """Return what a function sees under a name of the function around it."""
    if not inspect.isfunction(function):
        return None
    return inspect.getclosurevars(function).nonlocals.get(name)
