"""MLflow's scoring server behind a layer that checks requests and errors.

Run as ``uvicorn --factory ktune.cli.scoring_app:make_app`` with MLflow's variable for
the folder of the model, and the limits as JSON in ``KTUNE_SERVE``.
"""

import json
import os

from ktune.cli.request_checks import Limits
from ktune.cli.scoring_guard import ScoringGuard

LIMITS_VARIABLE = "KTUNE_SERVE"


def make_app() -> ScoringGuard:
    """Return the application; the model is loaded by importing MLflow's."""
    from mlflow.pyfunc.scoring_server.app import app

    limits = Limits(**json.loads(os.environ.get(LIMITS_VARIABLE, "{}")))
    return ScoringGuard(app, limits)
