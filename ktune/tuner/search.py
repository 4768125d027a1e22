"""Run a search with `search`, or load an earlier one with `load`."""

from dataclasses import replace
from typing import Any

from ktune.errors import ExperimentError
from ktune.executors import connected
from ktune.experiment.experiment import Experiment, override
from ktune.experiment.loading import LoadedExperiment
from ktune.listener import Listener
from ktune.models.ensembles import require_method
from ktune.models.ensembles.library import require_combinable
from ktune.searchers.database import check_url
from ktune.tracking.autologging import autologging_off
from ktune.tracking.location import find_store
from ktune.tracking.reader import best_values, find_search
from ktune.tracking.store import Store, open_at, open_store
from ktune.tuner.preflight import Preflight, preflight, smoke_changes
from ktune.tuner.progress import make_listener
from ktune.tuner.request import Request
from ktune.tuner.result import SearchResult, result_of
from ktune.tuner.resume import Past, find_past, inherit_options, write_all_pending
from ktune.tuner.session import open_driver
from ktune.tuner.warnings import warnings_for
from ktune.utils.runtime import import_keras, quiet_libraries, set_determinism

WARM_VALUES = 5
"""Number of the best trials of an earlier search from which a warm start begins."""


def search(
    experiment: Experiment | LoadedExperiment,
    *,
    tracking_uri: str | None = None,
    listener: Listener | None = None,
    is_smoke_test: bool = False,
    register: bool = False,
    resume: str | bool = False,
    warm_start: str | None = None,
    ensemble: str | None = None,
    storage: str | None = None,
    **changes: Any,
) -> SearchResult:
    """Search, score every trial by cross-validation, and register the best model.

    Args:
        experiment: The experiment.
        tracking_uri: Address of MLflow's store. None: MLFLOW_TRACKING_URI, else
            ``mlruns/mlflow.db`` below the working folder.
        listener: Shows progress. None: a progress bar in a terminal, else one line
            per trial.
        is_smoke_test: Run a quick test: two trials, one epoch, two folds. Its model
            is not registered, and never becomes champion.
        register: Register the model of a smoke test, without an alias. Other searches
            always register their model.
        resume: Resume this search (a run id or unique prefix); True for the newest
            one of the experiment. Settings that its trials share must not change;
            ``trials``, ``timeout`` and ``jobs`` may.
        warm_start: Start with the five best trials of this earlier search.
        ensemble: Method of a final ensemble: "greedy", "stacking" or "bagging".
        storage: Database of the study (``postgresql://user@host/name``), for
            processes on several machines: one starts the search, the others
            ``resume`` it. All of them must reach MLflow's store.
        **changes: Fields of the experiment to replace, for instance ``trials=20``.

    Returns:
        The trials, the refitted model and its test scores.

    Raises:
        KtuneError: A mistake that the user can correct; nothing is written if it is
            found before the first trial.
    """
    if ensemble is not None:
        require_method(ensemble)
    loaded = experiment if isinstance(experiment, LoadedExperiment) else None
    request = Request(
        loaded,
        ensemble=ensemble,
        is_smoke_test=is_smoke_test,
        register=register,
        storage=None if storage is None else check_url(storage),
    )
    plain = loaded.experiment if loaded else experiment
    assert isinstance(plain, Experiment)
    location = find_store(tracking_uri)  # `build` may change the working folder
    listener = listener or make_listener()
    try:
        listener.on_phase("loading TensorFlow and Keras")
        import_keras()
        with quiet_libraries(), autologging_off(listener.on_note):
            is_needed = bool(resume or warm_start)
            store = open_at(location, create=location.exists) if is_needed else None
            past = _find_past(store, plain.name, resume, request, listener)
            changes = inherit_options(past.options, changes) if past else changes
            changes |= _values_to_start_from(
                store, override(plain, changes), warm_start
            )
            if is_smoke_test:
                changes |= smoke_changes(override(plain, changes))
            was_smoke_test = past is not None and past.search.is_smoke_test
            request = replace(
                request,
                changes=changes,
                past=past,
                is_smoke_test=is_smoke_test or was_smoke_test,
            )
            plain = override(plain, changes)
            _require_shareable(plain, request)
            if store is None and location.exists:  # an unusable one is an error now
                store = open_at(location, create=True)
            checked = _check(plain, listener)
            if ensemble is not None:
                require_combinable(checked.context)
            with connected(checked.context.experiment):
                store = store or open_at(location, create=True)
                with open_driver(store, request, checked, listener) as driver:
                    return driver.drive()
    finally:
        listener.close()


def load(
    reference: str | None = None, *, tracking_uri: str | None = None
) -> SearchResult:
    """Return an earlier search.

    Args:
        reference: Run id or unique prefix of one, or an experiment's name for its
            newest search. None: the newest search of all.
        tracking_uri: Address of MLflow's store; see `search`.

    Raises:
        UnknownReference: The search does not exist.
    """
    store = open_store(tracking_uri)
    return result_of(store, find_search(store, reference))


def _find_past(
    store: Store | None,
    name: str,
    resume: str | bool,
    request: Request,
    listener: Listener,
) -> Past | None:
    """Return the search to resume, after writing all queued records."""
    if store is None or resume is False:
        return None
    write_all_pending(store, listener.on_note)
    return find_past(store, name, resume, is_shared=request.storage is not None)


def _values_to_start_from(
    store: Store | None, experiment: Experiment, warm_start: str | None
) -> dict[str, Any]:
    """Return the change that starts with the best values of an earlier search."""
    if store is None or warm_start is None:
        return {}
    best = best_values(store, find_search(store, warm_start), WARM_VALUES)
    return {"start_from": [*experiment.start_from, *best]}


def _require_shareable(experiment: Experiment, request: Request) -> None:
    """Refuse a shared study for an engine that exists in one process only."""
    if request.storage is not None and experiment.engine != "optuna":
        raise ExperimentError(
            "--storage is for several drivers on one search, and needs engine "
            f"'optuna'; got {experiment.engine!r}, whose oracle exists in the memory "
            "of one driver. Omit --storage, or use --engine optuna"
        )


def _check(experiment: Experiment, listener: Listener) -> Preflight:
    """Run the pre-flight, and report its warnings."""
    listener.on_phase("checking data, folds and model")
    set_determinism(experiment.deterministic)
    checked = preflight(experiment, notify=listener.on_phase)
    for note in warnings_for(checked.dataset, checked.context):
        listener.on_note(note)
    return checked
