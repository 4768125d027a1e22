"""The record of an ensemble: members, estimates and registered version."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ktune.metrics.intervals import Estimate
from ktune.models.ensembles.selection import NestedEstimate
from ktune.tracking import names
from ktune.tracking.final_record import Part, formula
from ktune.tracking.reader import RunView
from ktune.tracking.records import RunRecord, as_json_bytes
from ktune.tracking.store import Store

ENSEMBLE_FILE = "ensemble.json"


@dataclass(frozen=True)
class Ensemble:
    """Record of an ensemble.

    Attributes:
        method: "greedy", "stacking" or "bagging".
        parts: Its trials.
        metric: Metric of its selection, a proper scoring rule.
        estimate: Score on folds that took no part in the selection; None for bagging.
        single: The same estimate for the best single model.
        single_trial: Number of the best single trial.
        test: Scores on the untouched test rows.
        versus_single: The comparison with the best single model on the test rows; ""
            if it is not possible.
        model: Name of the registered model.
        version: Its version.
        alias: "champion" or "challenger".
        gate: Reason of the gate's decision.
    """

    method: str
    parts: tuple[Part, ...]
    metric: str
    estimate: NestedEstimate | None
    single: NestedEstimate | None
    single_trial: int
    test: Mapping[str, Estimate]
    versus_single: str
    model: str
    version: int
    alias: str
    gate: str

    @property
    def formula(self) -> str:
        """The members with their weights."""
        if self.method == "bagging":
            return f"the fold models of trial {self.parts[0].number}"
        return formula(self.parts)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**asdict(self), "formula": self.formula}


def record_ensemble(store: Store, search_run_id: str, ensemble: Ensemble) -> None:
    """Record an ensemble with its search: a file, and a tag with a summary."""
    files = {ENSEMBLE_FILE: as_json_bytes(ensemble.as_dict())}
    store.update_run(search_run_id, RunRecord("", "RUNNING", files=files))
    summary = (
        f"{ensemble.model}/{ensemble.version} ({ensemble.method}): {ensemble.formula}"
    )
    store.set_tags(search_run_id, {names.ENSEMBLE: summary[:5000]})


def read_ensemble(content: bytes) -> Ensemble:
    """Return the ensemble from the file of `record_ensemble`."""
    record = json.loads(content)
    record.pop("formula")
    for name in ("estimate", "single"):
        if record[name] is not None:
            record[name] = NestedEstimate(tuple(record[name]["scores"]))
    record["parts"] = tuple(Part(**part) for part in record["parts"])
    record["test"] = {name: Estimate(**e) for name, e in record["test"].items()}
    return Ensemble(**record)


def has_ensemble(search: RunView) -> bool:
    """Whether an ensemble has been made of a search."""
    return names.ENSEMBLE in search.tags
