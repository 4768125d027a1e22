"""Measure the latency of predicting one row."""

import time
from statistics import median
from typing import Any

_WARM_UP = 5
_CALLS = 50


def measure_latency(model: Any, row: Any) -> float:
    """Return the wall time of predicting one row, in milliseconds.

    It is the median of 50 calls of ``model.predict_on_batch`` with a batch of one row
    after warm-up calls, and estimates a request to a served model. Timings scatter on
    a busy machine; trials of one search are comparable, those of two machines are not.

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
