"""A search from beginning to end: `search`, and `load` for an earlier one."""

from collections.abc import Callable
from typing import Any

from ktune.errors import ExperimentError
from ktune.executors import connected
from ktune.experiment.experiment import Experiment, override
from ktune.experiment.loading import LoadedExperiment
from ktune.listener import Listener
from ktune.models.ensembles import require_method
from ktune.searchers.database import Database, check_url
from ktune.searchers.driven_study import DrivenStudy
from ktune.searchers.local_study import LocalStudy
from ktune.searchers.shared_study import SharedStudy
from ktune.tracking.location import find_store
from ktune.tracking.reader import RunView, best_values, find_search, study_file
from ktune.tracking.search_logger import SearchLogger, SearchStart
from ktune.tracking.store import Store, open_store, quiet_mlflow, store_errors
from ktune.tuner.driver import Driver
from ktune.tuner.preflight import Preflight, preflight, smoke_changes
from ktune.tuner.progress import make_listener
from ktune.tuner.request import Request
from ktune.tuner.result import SearchResult, result_of
from ktune.tuner.resume import (
    Past,
    check_unchanged,
    find_past,
    inherit_options,
    interrupted_search,
    n_left_waiting,
    tell_changes,
    write_all_waiting,
)
from ktune.tuner.warnings import warnings_for
from ktune.utils.interrupts import shielded
from ktune.utils.runtime import import_keras, quiet_libraries, set_determinism

WARM_VALUES = 5
"""So many of the best values of an earlier search a warm start begins with."""


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
    loaded = experiment if isinstance(experiment, LoadedExperiment) else None
    plain = loaded.experiment if loaded else experiment
    assert isinstance(plain, Experiment)
    if ensemble is not None:
        require_method(ensemble)
    address = None if storage is None else check_url(storage)
    listener = listener or make_listener()
    try:
        listener.on_phase("loading TensorFlow and Keras")
        import_keras()
        with quiet_libraries():
            is_shared = address is not None
            past = _find_past(plain, resume, tracking_uri, listener, is_shared)
            if past is not None:
                changes = inherit_options(past.options, changes)
            plain = override(plain, changes)
            plain = _warmed(plain, warm_start, tracking_uri)
            if is_smoke_test:
                changes = {**changes, **smoke_changes(plain)}
                plain = override(plain, changes)
            if warm_start is not None:  # for who resumes it
                changes["start_from"] = list(plain.start_from)
            if address is not None:
                _check_can_share(plain)
            request = Request(plain, loaded, changes, past, ensemble, address)
            return _search(request, tracking_uri, listener)
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


def _find_past(
    experiment: Experiment,
    resume: str | bool,
    tracking_uri: str | None,
    listener: Listener,
    is_shared: bool,
) -> Past | None:
    if resume is False:
        return None
    store = open_store(tracking_uri)
    write_all_waiting(store, listener.on_note)
    return find_past(store, experiment.name, resume, is_shared=is_shared)


def _check_can_share(experiment: Experiment) -> None:
    if experiment.engine != "optuna":
        raise ExperimentError(
            "--storage is for several drivers on one search, and needs engine "
            f"'optuna'; got {experiment.engine!r}, whose oracle lives in the memory of "
            "one driver. Leave --storage out, or take --engine optuna"
        )


def _warmed(
    experiment: Experiment, warm_start: str | None, tracking_uri: str | None
) -> Experiment:
    """Let an experiment begin with the best values of an earlier search."""
    if warm_start is None:
        return experiment
    store = open_store(tracking_uri)
    found = best_values(store, find_search(store, warm_start), WARM_VALUES)
    return override(experiment, {"start_from": [*experiment.start_from, *found]})


def _search(
    request: Request, tracking_uri: str | None, listener: Listener
) -> SearchResult:
    listener.on_phase("checking data, folds and model")
    set_determinism(request.experiment.deterministic)
    # Says at once if it cannot be used; who resumes has read it already.
    if request.past is None and find_store(tracking_uri).exists:
        open_store(tracking_uri)
    ready = preflight(request.experiment, tell=listener.on_phase)
    for note in warnings_for(ready.dataset, ready.context):
        listener.on_note(note)
    with connected(ready.context.experiment):
        return _open_and_drive(request, ready, tracking_uri, listener)


def _open_and_drive(
    request: Request, ready: Preflight, tracking_uri: str | None, listener: Listener
) -> SearchResult:
    base = None if request.storage is None else Database(request.storage)
    store = open_store(tracking_uri, create=True)
    start, tell = request.start(ready), listener.on_note
    with quiet_mlflow(), store_errors(store.location):
        past = request.past
        if past is None:
            _point_out_interrupted(store, request.experiment.name, listener)
            logger = _open_logger(store, start, tell=tell)
            study = _study_of(store, logger.run_id, request, ready, base)
            with study.session():
                return Driver(store, logger, study, request, ready, listener).drive()
        check_unchanged(store, past.search, ready)
        for note in tell_changes(past, request.experiment, request.changes):
            listener.on_note(note)
        study = _study_of(store, past.search.run_id, request, ready, base)
        with study.session():
            logger = _open_logger(store, start, past.search, tell=tell)
            return Driver(store, logger, study, request, ready, listener).drive()


def _study_of(
    store: Store,
    run_id: str,
    request: Request,
    ready: Preflight,
    base: Database | None,
) -> DrivenStudy:
    name = request.experiment.name
    if base is None:
        return LocalStudy(study_file(store, run_id), name)
    # Many searches stand in one database.
    return SharedStudy(
        base,
        f"{name}/{run_id}",
        ready.context.builder.declare,
        is_new=request.past is None,
    )


def _open_logger(
    store: Store,
    start: SearchStart,
    past: RunView | None = None,
    *,
    tell: Callable[[str], None],
) -> SearchLogger:
    """Open the books of the search; close them again if Ctrl-C came meanwhile."""
    opened: list[SearchLogger] = []
    try:
        with shielded():
            opened.append(SearchLogger(store, start, past, tell))
    except KeyboardInterrupt:
        for logger in opened:
            logger.finish(status="KILLED", reason="interrupted")
        raise
    return opened[0]


def _point_out_interrupted(store: Store, name: str, listener: Listener) -> None:
    interrupted = interrupted_search(store, name)
    if interrupted is not None:
        listener.on_note(
            f"Search {interrupted.run_id[:8]} of {name!r} was interrupted; to continue "
            f"it, add: --resume {interrupted.run_id[:8]}"
        )
    if count := n_left_waiting(store):
        listener.on_note(
            f"{count} records of earlier searches wait to be written: ktune sync"
        )
