"""Check that all drivers of a search have the same space."""

import json
from typing import Any

import optuna

from ktune.errors import ExperimentError
from ktune.searchers.discovery import Declare, discover, propose_values
from ktune.searchers.parameter import parameter_from_json, parameter_to_json

_SPACE = "ktune.space"


def record_space(declare: Declare, study: optuna.Study) -> None:
    """Record the parameters that a builder requests by default."""
    study.set_user_attr(_SPACE, _space_of(declare))


def check_same_space(declare: Declare, study: optuna.Study) -> None:
    """Compare the parameters that a builder requests by default with the recorded ones.

    Parameters under other conditions are not compared.

    Raises:
        KeyError: No space has been recorded yet.
        ExperimentError: The spaces differ; the message has the first difference.
    """
    here, there = _space_of(declare), study.user_attrs[_SPACE]
    for name in {**there, **here}:
        if here.get(name) != there.get(name):
            raise ExperimentError(
                f"the space differs from that of the other drivers of this search: "
                f"parameter {name!r} is {_text(here.get(name))} here and "
                f"{_text(there.get(name))} there. Run the same version of the "
                "experiment file on all hosts"
            )


def _space_of(declare: Declare) -> dict[str, Any]:
    configuration = discover(
        declare, propose_values({}), lambda parameter: parameter.name
    )
    space = {
        assignment.key: parameter_to_json(assignment.parameter)
        for assignment in configuration
    }
    plain: dict[str, Any] = json.loads(json.dumps(space))
    return plain


def _text(stored: Any) -> str:
    return parameter_from_json(stored).describe() if stored else "missing"
