"""References of a search, measured before the first trial, and their JSON form."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ktune.data.dataset import Dataset
from ktune.data.folds import Partition
from ktune.data.preprocessing import PreparedFold
from ktune.diagnosis.baselines import measure_baselines
from ktune.diagnosis.data_facts import find_data_facts
from ktune.diagnosis.view import Baselines, DataFacts


@dataclass(frozen=True)
class References:
    """Scores of simple models, and facts about the data."""

    baselines: Baselines
    facts: DataFacts


def measure_references(
    dataset: Dataset,
    partition: Partition,
    folds: Sequence[PreparedFold],
    metrics: Sequence[str],
    *,
    seed: int,
) -> References:
    """Train the simple models and find facts about the data; takes seconds.

    Args:
        dataset: The data set, for task and feature names.
        partition: Its partition.
        folds: The prepared folds of the search.
        metrics: All recorded metrics and the objective.
        seed: Seed of the search.
    """
    return References(
        measure_baselines(folds, dataset.task, metrics, seed=seed),
        find_data_facts(partition, dataset.task, dataset.feature_names, seed=seed),
    )


def references_as_dict(references: References) -> dict[str, Any]:
    """Return references as plain values, for JSON."""
    return asdict(references)


def references_from_dict(record: Mapping[str, Any]) -> References:
    """Return references from the values of `references_as_dict`."""
    return References(Baselines(**record["baselines"]), DataFacts(**record["facts"]))
