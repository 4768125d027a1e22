"""A search from beginning to end: `search`, and `load` for an earlier one."""

from dataclasses import replace
from typing import Any

from ktune.errors import ExperimentError
from ktune.executors import connected
from ktune.experiment.experiment import Experiment, override
from ktune.experiment.loading import LoadedExperiment
from ktune.listener import Listener
from ktune.models.ensembles import require_method
from ktune.searchers.database import check_url
from ktune.tracking.location import StoreLocation, find_store
from ktune.tracking.reader import best_values, find_search
from ktune.tracking.store import Store, open_at, open_store
from ktune.tuner.preflight import Preflight, preflight, smoke_changes
from ktune.tuner.progress import make_listener
from ktune.tuner.request import Request
from ktune.tuner.result import SearchResult, result_of
from ktune.tuner.resume import Past, find_past, inherit_options, write_all_waiting
from ktune.tuner.session import open_driver
from ktune.tuner.warnings import warnings_for
from ktune.utils.runtime import import_keras, quiet_libraries, set_determinism

WARM_VALUES = 5
"""Number of the best values of an earlier search that a warm start begins with."""


def search(
    experiment: Experiment | LoadedExperiment,
    *,
    tracking_uri: str | None = None,
    listener: Listener | None = None,
    is_smoke_test: bool = False,
    resume: str | bool = False,
    warm_start: str | None = None,
    ensemble: str | None = None,
    storage: str | None = None,
    **changes: Any,
) -> SearchResult:
    """Search, judge every trial by cross-validation, and register the best model.

    Args:
        experiment: What to search.
        tracking_uri: Where MLflow's store is. None: MLFLOW_TRACKING_URI, else
            ``mlruns/mlflow.db`` below the working folder.
        listener: Shows progress. None: a progress bar in a terminal, else a line a
            trial.
        is_smoke_test: Only try whether it runs: two trials, one epoch, two folds.
        resume: Go on with this search (a run id or unique prefix); True: with the
            newest one of the experiment. What its trials have in common may not have
            changed; ``trials``, ``timeout`` and ``jobs`` may.
        warm_start: Begin with the best five values of this earlier search.
        ensemble: Make one of the trials at the end: "greedy", "stacking" or "bagging".
        storage: Keep the search's study in this database
            (``postgresql://user@host/name``), so that processes on several machines
            can work on it: one begins, the others ``resume``. MLflow's store has to be
            one they all reach.
        **changes: Fields of the experiment to replace, for instance ``trials=20``.

    Returns:
        The trials, the refitted model and its test scores.

    Raises:
        KtuneError: Something the user can mend; nothing is written if it shows
            before the first trial.
    """
    if ensemble is not None:
        require_method(ensemble)
    loaded = experiment if isinstance(experiment, LoadedExperiment) else None
    request = Request(
        loaded,
        ensemble=ensemble,
        storage=None if storage is None else check_url(storage),
    )
    plain = loaded.experiment if loaded else experiment
    assert isinstance(plain, Experiment)
    location = find_store(tracking_uri)  # `build` may change the working folder
    listener = listener or make_listener()
    try:
        listener.on_phase("loading TensorFlow and Keras")
        import_keras()
        with quiet_libraries():
            store = _open_existing(location, is_needed=bool(resume or warm_start))
            past = _find_past(store, plain.name, resume, request, listener)
            changes = inherit_options(past.options, changes) if past else changes
            changes |= _values_to_start_from(
                store, override(plain, changes), warm_start
            )
            if is_smoke_test:
                changes |= smoke_changes(override(plain, changes))
            request = replace(request, changes=changes, past=past)
            checked = _check(override(plain, changes), request, listener)
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
        tracking_uri: Where MLflow's store is; see `search`.

    Raises:
        UnknownReference: There is no such search.
    """
    store = open_store(tracking_uri)
    return result_of(store, find_search(store, reference))


def _open_existing(location: StoreLocation, *, is_needed: bool) -> Store | None:
    """Open the store before the pre-flight; None: it is made after it.

    A store that cannot be used is an error at once. A store that is not there yet is
    not made before the experiment has passed the pre-flight.
    """
    if not location.exists and not is_needed:
        return None
    return open_at(location, create=location.exists)


def _find_past(
    store: Store | None,
    name: str,
    resume: str | bool,
    request: Request,
    listener: Listener,
) -> Past | None:
    """Return the search to resume, once all that waits for the store is written."""
    if store is None or resume is False:
        return None
    write_all_waiting(store, listener.on_note)
    return find_past(store, name, resume, is_shared=request.storage is not None)


def _values_to_start_from(
    store: Store | None, experiment: Experiment, warm_start: str | None
) -> dict[str, Any]:
    """Return the change that puts the best values of an earlier search first."""
    if store is None or warm_start is None:
        return {}
    best = best_values(store, find_search(store, warm_start), WARM_VALUES)
    return {"start_from": [*experiment.start_from, *best]}


def _check(experiment: Experiment, request: Request, listener: Listener) -> Preflight:
    """Run the pre-flight, and say what it warns of."""
    if request.storage is not None and experiment.engine != "optuna":
        raise ExperimentError(
            "--storage is for several drivers on one search, and needs engine "
            f"'optuna'; got {experiment.engine!r}, whose oracle lives in the memory of "
            "one driver. Leave --storage out, or take --engine optuna"
        )
    listener.on_phase("checking data, folds and model")
    set_determinism(experiment.deterministic)
    checked = preflight(experiment, tell=listener.on_phase)
    for note in warnings_for(checked.dataset, checked.context):
        listener.on_note(note)
    return checked
