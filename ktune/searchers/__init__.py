"""Searchers, which propose trials."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ktune.experiment.fit_settings import FitSettings
from ktune.searchers.requirements import check_installed
from ktune.trial import TrialResult, Value

if TYPE_CHECKING:
    # These import KerasTuner, TensorFlow and scikit-learn, which reading a study does
    # not need.
    from ktune.experiment.experiment import Experiment
    from ktune.metrics.ranking import Goal
    from ktune.protocols import Searcher
    from ktune.searchers.discovery import Declare
    from ktune.searchers.driven_study import DrivenStudy

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
    counts_attempts: bool = False,
) -> "Searcher":
    """Return the searcher of an experiment.

    Args:
        experiment: Names the engine, sampler, pruner and seed.
        declare: Requests all hyperparameters of a trial from an ``hp``; the
            ``declare`` of a `ktune.evaluation.model_builder.ModelBuilder`.
        goal: The objectives.
        path: Journal file of the search, URL of a database, or a driven study, whose
            lock must be held. If it contains trials, the search continues after them.
        study_name: Name of the study in there; pruning by Hyperband depends on it,
            so it should not be random. None: the experiment's name.
        epochs: Maximum number of epochs. None: the value in ``fit``, if it is a dict,
            else the default of `FitSettings`.
        start_from: Values of the first trials after the one of all defaults; missing
            values keep their defaults.
        find_result: Returns the result of a trial by its number, if it was recorded.
            A search that died before `tell` is completed with it.
        counts_attempts: Whether this process runs the builder and the trials, so that
            a trial that ends it must not be repeated for ever.

    Raises:
        ExperimentError: The sampler needs a package that is not installed.
        StoreError: The study cannot be opened.
    """
    # Before anything is written.
    check_installed(experiment.chosen_sampler)
    module, name = _ENGINES[experiment.engine]
    engine = getattr(importlib.import_module(module), name)
    study = _study(path, study_name or experiment.name)
    trial_store = study.open_trial_store(goal, find_result)
    trial_store.attempts = study.attempts() if counts_attempts else None
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


def _study(path: "str | Path | DrivenStudy", name: str) -> "DrivenStudy":
    from ktune.searchers.local_study import LocalStudy

    return LocalStudy(path, name) if isinstance(path, str | Path) else path


def _epochs(experiment: "Experiment") -> int:
    fit = {} if callable(experiment.fit) else dict(experiment.fit or {})
    settings = {**fit, **(experiment.fit_overrides or {})}
    epochs: int = settings.get("epochs", FitSettings.epochs)
    return epochs
