"""How long a model takes to predict one row."""

import time
from statistics import median
from typing import Any

_WARM_UP = 5
_CALLS = 50


def measure_latency(model: Any, row: Any) -> float:
    """Return the wall time of predicting one row, in milliseconds.

    The median of 50 calls of ``model.predict_on_batch`` with a batch of one row, after
    the calls that compile it: what one request to a served model costs. Timings of a
    busy machine scatter; trials of one search compare, those of two machines do not.

    Args:
        model: A Keras model; its weights do not matter.
        row: Preprocessed features of one row, shape (1, ...).
    """
    for _ in range(_WARM_UP):
        model.predict_on_batch(row)
    return 1000 * median(_time_call(model, row) for _ in range(_CALLS))


def _time_call(model: Any, row: Any) -> float:
    started = time.perf_counter()
    model.predict_on_batch(row)
    return time.perf_counter() - started
