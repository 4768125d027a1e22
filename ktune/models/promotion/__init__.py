"""Promote a version to champion by the gate, and roll back."""
