"""Run a trial again from what MLflow holds, and compare number by number."""

from ktune.tuner.reproduction.reproducing import Reproduction, reproduce

__all__ = ["Reproduction", "reproduce"]
