"""Several drivers of a search must have the same space, or trials would not compare."""

import json
from typing import Any

import optuna

from ktune.errors import ExperimentError
from ktune.searchers.discovery import Declare, discover, propose_given
from ktune.searchers.parameter import parameter_from_json, parameter_to_json

_SPACE = "ktune.space"


def note_space(declare: Declare, study: optuna.Study) -> None:
    """Write down what a builder asks for by default."""
    study.set_user_attr(_SPACE, _space_of(declare))


def check_same_space(declare: Declare, study: optuna.Study) -> None:
    """Compare what a builder asks for by default with what was written down.

    What is only asked for under other conditions is not seen.

    Raises:
        KeyError: Nothing was written down (yet).
        ExperimentError: It is something else, naming the first difference.
    """
    here, there = _space_of(declare), study.user_attrs[_SPACE]
    for name in {**there, **here}:
        if here.get(name) != there.get(name):
            raise ExperimentError(
                f"the space differs from that of the drivers that are on this search: "
                f"parameter {name!r} is {_text(here.get(name))} here and "
                f"{_text(there.get(name))} there. Run the same version of the "
                "experiment file on all hosts"
            )


def _space_of(declare: Declare) -> dict[str, Any]:
    path = discover(declare, propose_given({}), lambda parameter: parameter.name)
    space = {step.key: parameter_to_json(step.parameter) for step in path}
    plain: dict[str, Any] = json.loads(json.dumps(space))
    return plain


def _text(stored: Any) -> str:
    return parameter_from_json(stored).describe() if stored else "not asked for"
