"""What verbs that train or predict begin with: a listener, and Keras kept quiet."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def working(arguments: argparse.Namespace) -> Iterator[Any]:
    """Load Keras and give the listener that is told what is being done.

    To be entered before anything else imports Keras, so that it keeps quiet.

    Args:
        arguments: With ``--json`` nothing but the result is shown.
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
