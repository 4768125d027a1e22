"""The model registry: register models, select the champion, load versions."""
