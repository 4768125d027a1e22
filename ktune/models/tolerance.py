"""Largest difference between two runs of one model, by the numbers it computes with."""

from typing import Any

FLOAT32 = 1e-5
_COARSE = {"bfloat16": 5e-2, "float16": 5e-3}
"""A few roundings: these types have 8 and 11 significant bits, float32 has 24."""


def compute_type(model: Any) -> str:
    """Return the coarsest type of numbers that layers of a model compute with."""
    flatten = getattr(model, "_flatten_layers", None)
    layers = list(flatten()) if flatten else [model]
    types = {getattr(layer, "compute_dtype", "float32") for layer in layers}
    return next((name for name in _COARSE if name in types), "float32")


def tolerance_for(type_name: str, exact: float = FLOAT32) -> float:
    """Return the largest difference allowed, see `largest_difference`."""
    return max(exact, _COARSE.get(type_name, 0.0))
