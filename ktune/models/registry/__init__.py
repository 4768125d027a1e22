"""The model registry: register models, decide who is champion, load them again."""
