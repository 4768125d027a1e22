"""Threads of workers, and modules that pytest does not collect: importing runs them."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; threads for small matrices would only wait for them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

collect_ignore = [
    "ktune/__main__.py",  # would run the command line
    "ktune/models/registry/served_model.py",  # MLflow runs it
    "ktune/cli/ui_app.py",  # starts MLflow's server
]
