"""Run a trial again from its records in MLflow, and compare all numbers."""

from ktune.tuner.reproduction.reproducing import Reproduction, reproduce

__all__ = ["Reproduction", "reproduce"]
