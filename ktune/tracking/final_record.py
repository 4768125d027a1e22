"""The record of a search's final model: its best trial alone, or an average."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ktune.tracking import names

SINGLE = "single"
AVERAGE = "average"


@dataclass(frozen=True)
class Part:
    """A refit of a trial with its weight in a mean of models.

    Attributes:
        number: Number of the trial.
        run_id: Run of the trial.
        weight: The weights of all parts sum to one.
        refit: 0 for the refit with the seed of the trial; 1, 2, … for further seeds.
    """

    number: int
    run_id: str
    weight: float
    refit: int = 0


@dataclass(frozen=True)
class ModelCosts:
    """Costs of a model.

    Attributes:
        n_parameters: Number of its weights.
        latency_ms: Wall time to predict one row.
        seconds: Wall time of its training.
    """

    n_parameters: int
    latency_ms: float
    seconds: float


@dataclass(frozen=True)
class FinalRecord:
    """The record of the final model of a search.

    Attributes:
        kind: "single" or "average".
        reason: Reason for the choice, as text.
        parts: The parts of the average; empty for a single model.
        version: Registered version of the final model; None if it is not registered.
        single_version: Version of the best trial alone beside an average.
        costs: Costs of the final model.
        single_costs: Costs of the best trial alone beside an average.
    """

    kind: str
    reason: str
    parts: tuple[Part, ...] = ()
    version: int | None = None
    single_version: int | None = None
    costs: ModelCosts | None = None
    single_costs: ModelCosts | None = None

    @property
    def is_average(self) -> bool:
        """Whether the final model is an average."""
        return self.kind == AVERAGE

    @property
    def formula(self) -> str:
        """The parts with their weights."""
        return formula(self.parts)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def formula(parts: tuple[Part, ...]) -> str:
    """Return the parts of a mean with their weights, as text.

    Example:
        >>> formula((Part(3, "a", 0.6), Part(7, "b", 0.4)))
        '0.60 × trial 3 + 0.40 × trial 7'
        >>> formula((Part(3, "a", 0.5), Part(3, "a", 0.5, refit=1)))
        'the mean of 2 refits of trial 3'
    """
    if len(parts) > 1 and len({part.run_id for part in parts}) == 1:
        return f"the mean of {len(parts)} refits of trial {parts[0].number}"
    ordered = sorted(parts, key=lambda part: -part.weight)
    return " + ".join(f"{part.weight:.2f} × trial {part.number}" for part in ordered)


def final_tag(record: FinalRecord) -> dict[str, str]:
    """Return the tag of a search with the record of its final model."""
    return {names.FINAL: json.dumps(record.as_dict())}


def read_final(tags: Mapping[str, str]) -> FinalRecord | None:
    """Return the record of the final model in the tags of a search.

    None: it is older, has no final model yet, or the tag was edited.
    """
    with contextlib.suppress(ValueError, KeyError, TypeError):
        fields = json.loads(tags.get(names.FINAL) or "null")
        fields["parts"] = tuple(Part(**part) for part in fields["parts"])
        for name in ("costs", "single_costs"):
            fields[name] = None if fields[name] is None else ModelCosts(**fields[name])
        return FinalRecord(**fields)
    return None
