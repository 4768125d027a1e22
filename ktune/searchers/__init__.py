"""Searchers: what proposes trials."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ktune.experiment.fit_settings import FitSettings
from ktune.searchers.requirements import check_installed
from ktune.trial import TrialResult, Value

if TYPE_CHECKING:
    # KerasTuner, TensorFlow and scikit-learn come with these; who only reads a study
    # need not wait for them.
    from ktune.experiment.experiment import Experiment
    from ktune.metrics.ranking import Goal
    from ktune.protocols import Searcher
    from ktune.searchers.discovery import Declare
    from ktune.searchers.driven_study import DrivenStudy
    from ktune.searchers.trial_store import TrialStore

_ENGINES: Mapping[str, tuple[str, str]] = {
    "optuna": ("ktune.searchers.optuna", "OptunaSearcher"),
    "kerastuner": ("ktune.searchers.keras_tuner", "KerasTunerSearcher"),
}
"""Engine to the module and class behind it; loaded when used."""


def make_searcher(
    experiment: "Experiment",
    declare: "Declare",
    *,
    goal: "Goal",
    path: "str | Path | DrivenStudy",
    study_name: str | None = None,
    epochs: int | None = None,
    start_from: Sequence[Mapping[str, Value]] = (),
    find_result: "Callable[[int], TrialResult | None] | None" = None,
) -> "Searcher":
    """Return the searcher an experiment asks for.

    Args:
        experiment: Says which engine, sampler, pruner and seed.
        declare: Asks an ``hp`` for everything a trial needs; the ``declare`` of a
            `ktune.evaluation.model_builder.ModelBuilder`.
        goal: What is searched for.
        path: Journal file of the search, URL of a database, or the study that is
            driven, whose turn it has to be. If it holds trials already, the search
            goes on after them.
        study_name: Name of the study in there; pruning by Hyperband depends on it,
            so it should not be random. None: the experiment's name.
        epochs: The most epochs a trial takes. None: what ``fit`` says, if it is a
            dict, else the default of `FitSettings`.
        start_from: Values of trials to begin with, after that of all defaults; what
            they do not say keeps its default.
        find_result: Returns the result of a trial by its number, if it is known: one
            that was recorded, but not told because the search died, is told now.

    Raises:
        ExperimentError: The sampler needs a package that is not installed.
        StoreError: The study cannot be opened.
    """
    # Before anything is written.
    check_installed(experiment.chosen_sampler)
    module, name = _ENGINES[experiment.engine]
    engine = getattr(importlib.import_module(module), name)
    trial_store = _open(path, study_name or experiment.name, goal, find_result)
    searcher: Searcher = engine(
        declare,
        trial_store=trial_store,
        sampler=experiment.chosen_sampler,
        pruner=experiment.chosen_pruner,
        seed=experiment.seed,
        epochs=epochs or _epochs(experiment),
        start_from=start_from,
    )
    return searcher


def _open(
    path: "str | Path | DrivenStudy",
    name: str,
    goal: "Goal",
    find_result: Callable[[int], TrialResult | None] | None,
) -> "TrialStore":
    from ktune.searchers.local_study import LocalStudy

    study = LocalStudy(path, name) if isinstance(path, str | Path) else path
    return study.open_trial_store(goal, find_result)


def _epochs(experiment: "Experiment") -> int:
    fit = {} if callable(experiment.fit) else dict(experiment.fit or {})
    settings = {**fit, **(experiment.fit_overrides or {})}
    epochs: int = settings.get("epochs", FitSettings.epochs)
    return epochs
