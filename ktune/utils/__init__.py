"""Utilities that do not depend on models: runtime, seeds, text, locks, memory."""
