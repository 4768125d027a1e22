"""MLflow's scoring server behind a layer that checks requests and errors.

Run as ``uvicorn ktune.cli.scoring_app:app`` with MLflow's variable for the folder of
the model, and the limits as JSON in ``KTUNE_SERVE``.
"""

import json
import os

from mlflow.pyfunc.scoring_server.app import app as _mlflow

from ktune.cli.request_checks import Limits
from ktune.cli.scoring_guard import ScoringGuard

LIMITS_VARIABLE = "KTUNE_SERVE"

app = ScoringGuard(_mlflow, Limits(**json.loads(os.environ.get(LIMITS_VARIABLE, "{}"))))
