"""Setup of verbs that train or predict: a listener, and quiet logs of Keras."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def working(arguments: argparse.Namespace) -> Iterator[Any]:
    """Import Keras, and yield the listener for progress messages.

    To be entered before any other import of Keras, so that its logs are suppressed.

    Args:
        arguments: With ``--json`` only the result is printed.
    """
    from ktune.tuner.progress import make_listener
    from ktune.utils.runtime import import_keras

    listener = make_listener(quiet=arguments.json)
    try:
        listener.on_phase("loading TensorFlow and Keras")
        import_keras()
        yield listener
    finally:
        listener.close()
