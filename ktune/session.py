"""A search from beginning to end: `search`, and `load` for an earlier one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from ktune.advice import advise
from ktune.diagnosis import diagnosis_as_dict
from ktune.diagnosis.references import references_as_dict
from ktune.ensembles import require_method
from ktune.ensembles.ensembling import Ensembler
from ktune.errors import ExperimentError, KtuneError, SearchAborted, ServerAway
from ktune.evaluation import work_with
from ktune.executors import connected, make_executor
from ktune.experiment import Experiment, override
from ktune.experiment_file import LoadedExperiment
from ktune.interruption import shielded
from ktune.intervals import Estimate
from ktune.judging import Judge, look_at_data
from ktune.loop import Listener, LoopOutcome, SearchLoop
from ktune.metrics import LATENCY
from ktune.preflight import Preflight, preflight, smoke_changes
from ktune.progress import make_listener
from ktune.ranking import front_of_results, rank_results
from ktune.recorded import threshold_of_trial
from ktune.refit import Refit, refit
from ktune.registry.card import write_card
from ktune.registry.champion import Candidate, register_best
from ktune.registry.registration import Registration
from ktune.report import read_report, render_report
from ktune.result import SearchResult, result_of
from ktune.resume import (
    Past,
    check_unchanged,
    find_past,
    interrupted_search,
    n_left_waiting,
    take_over,
    tell_changes,
    telling_how_to_go_on,
    write_all_waiting,
)
from ktune.runtime import import_keras, quiet_libraries, set_determinism
from ktune.searchers import make_searcher
from ktune.searchers.database import Database, check_url, shown
from ktune.searchers.driven_study import DrivenStudy
from ktune.searchers.local_study import LocalStudy
from ktune.searchers.shared_study import SharedStudy
from ktune.snapshot import read_environment, read_git_state
from ktune.sources import find_sources, read_sources
from ktune.tracking import names
from ktune.tracking.away import is_away
from ktune.tracking.location import find_store
from ktune.tracking.reader import RunView, best_values, find_search, study_file
from ktune.tracking.records import MetricPoint, as_json_bytes
from ktune.tracking.search_books import SearchBooks, SearchStart
from ktune.tracking.store import Store, open_store, quiet_mlflow, store_errors
from ktune.trial import Trial, TrialResult

WARM_VALUES = 5
"""So many of the best values of an earlier search a warm start begins with."""

_LEFT_TO_OTHERS = (
    "Other drivers are still at work, or have closed the search: the last one refits "
    "and registers its best trial."
)


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
                changes = take_over(past.options, changes)
            plain = override(plain, changes)
            plain = _warmed(plain, warm_start, tracking_uri)
            if is_smoke_test:
                changes = {**changes, **smoke_changes(plain)}
                plain = override(plain, changes)
            if warm_start is not None:  # for who resumes it
                changes["start_from"] = list(plain.start_from)
            if address is not None:
                _check_can_share(plain)
            request = _Request(plain, loaded, changes, past, ensemble, address)
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


@dataclass(frozen=True, eq=False)
class _Request:
    """What is asked for: the experiment as changed, and what to go on with."""

    experiment: Experiment
    loaded: LoadedExperiment | None
    changes: Mapping[str, Any]
    past: Past | None
    ensemble: str | None = None
    storage: URL | None = None


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
    request: _Request, tracking_uri: str | None, listener: Listener
) -> SearchResult:
    listener.on_phase("checking data, folds and model")
    set_determinism(request.experiment.deterministic)
    if find_store(tracking_uri).is_server:  # says at once if it does not answer
        open_store(tracking_uri)
    ready = preflight(request.experiment, tell=listener.on_phase)
    for note in advise(ready.dataset, ready.bench):
        listener.on_note(note)
    with connected(ready.bench.experiment):
        return _keep_books(request, ready, tracking_uri, listener)


def _keep_books(
    request: _Request, ready: Preflight, tracking_uri: str | None, listener: Listener
) -> SearchResult:
    base = None if request.storage is None else Database(request.storage)
    store = open_store(tracking_uri, create=True)
    start, tell = _search_start(request, ready), listener.on_note
    with quiet_mlflow(), store_errors(store.location):
        past = request.past
        if past is None:
            _point_out_interrupted(store, request.experiment.name, listener)
            books = _open_books(store, start, tell=tell)
            study = _study_of(store, books.run_id, request, ready, base)
            with study.attended():
                return _drive_safely(store, books, ready, request, study, listener)
        check_unchanged(store, past.search, ready)
        for note in tell_changes(past, request.experiment, request.changes):
            listener.on_note(note)
        study = _study_of(store, past.search.run_id, request, ready, base)
        with study.attended():
            books = _open_books(store, start, past.search, tell=tell)
            return _drive_safely(store, books, ready, request, study, listener)


def _study_of(
    store: Store,
    run_id: str,
    request: _Request,
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
        ready.bench.recipe.declare,
        is_new=request.past is None,
    )


def _open_books(
    store: Store,
    start: SearchStart,
    past: RunView | None = None,
    *,
    tell: Callable[[str], None],
) -> SearchBooks:
    """Open the books of the search; close them again if Ctrl-C came meanwhile."""
    opened: list[SearchBooks] = []
    try:
        with shielded():
            opened.append(SearchBooks(store, start, past, tell))
    except KeyboardInterrupt:
        for books in opened:
            books.finish(status="KILLED", reason="interrupted")
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


def _drive_safely(
    store: Store,
    books: SearchBooks,
    ready: Preflight,
    request: _Request,
    study: DrivenStudy,
    listener: Listener,
) -> SearchResult:
    """Search; if the server of the store is gone at the end, say how to go on."""
    command = _resume_command(request, books.run_id)
    with telling_how_to_go_on(store, books, command, listener.on_note):
        return _drive(store, books, ready, request, study, listener)


def _drive(
    store: Store,
    books: SearchBooks,
    ready: Preflight,
    request: _Request,
    study: DrivenStudy,
    listener: Listener,
) -> SearchResult:
    """Search from the first trial, or the first that is left, to the end."""
    experiment = ready.bench.experiment
    status, reason = "FAILED", "an error"
    try:
        judge = _appoint_judge(books, ready, listener)
        listener.on_search_start(experiment, ready.bench.objective, books.run_id)
        for note in (*ready.notes, *_company_note(study)):
            listener.on_note(note)
        outcome, results = _run_trials(
            study, books, ready, judge, listener, request.past
        )
        status = "KILLED" if outcome.is_interrupted else "FINISHED"
        reason = outcome.reason
        _catch_up(books, outcome)
        fitted, registration = None, None
        closes = not outcome.is_interrupted and study.claims_closing()
        if closes:
            _take_in_others(study, books, judge, results)
            fitted, registration = _refit_best(store, books, ready, results, listener)
        if closes or not study.is_shared:
            with shielded() if outcome.is_interrupted else nullcontext():
                _conclude(store, books, judge, fitted, listener)
        if registration is not None:
            write_card(store, registration.name, registration.version)
            if request.ensemble is not None:
                _make_ensemble(store, books, ready, request.ensemble, listener)
        if closes:
            study.note_closed()
        elif not outcome.is_interrupted:
            listener.on_note(_LEFT_TO_OTHERS)
    except KeyboardInterrupt:
        status, reason = "KILLED", "interrupted"
        raise
    except SearchAborted:
        reason = "the first trials all failed for the same reason"
        raise
    except Exception as error:
        if is_away(error):
            status, reason = "KILLED", "the MLflow server went away"
        raise
    finally:
        with shielded():
            study.leave(lambda: books.finish(status=status, reason=reason))
    view = find_search(store, books.run_id)
    return result_of(
        store, view, outcome=outcome, fitted=fitted, registration=registration
    )


def _catch_up(books: SearchBooks, outcome: LoopOutcome) -> None:
    """Write what waits for a server that was away; an interrupt goes first."""
    try:
        books.catch_up()
    except ServerAway:
        if outcome.is_interrupted:
            raise KeyboardInterrupt from None
        raise


def _search_start(request: _Request, ready: Preflight) -> SearchStart:
    loaded = request.loaded
    dataset, partition = ready.dataset, ready.bench.partition
    files = find_sources(loaded.path) if loaded else {}
    return SearchStart(
        experiment=ready.bench.experiment,
        goal=ready.bench.goal,
        data={
            "name": dataset.name,
            "digest": dataset.digest,
            "task": dataset.task.value,
            "kind": dataset.kind.value,
            "n_rows": len(partition.y),
            "n_test_rows": 0 if partition.y_test is None else len(partition.y_test),
            "n_outputs": dataset.n_outputs,
            "input_shape": ready.bench.data.input_shape,
        },
        partition=partition,
        class_names=dataset.class_names,
        environment=read_environment(),
        sources=read_sources(files),
        entry=_entry(loaded, files) if loaded else {},
        git=read_git_state(loaded.path.parent) if loaded else {},
        command=_command(loaded),
        changes=request.changes,
        storage="" if request.storage is None else shown(request.storage),
    )


def _entry(loaded: LoadedExperiment, files: Mapping[str, Path]) -> Mapping[str, Any]:
    """Return where to begin with the recorded sources, and where they stood."""
    return {
        "file": loaded.path.name,
        "variable": loaded.variable,
        "paths": {name: str(path) for name, path in files.items()},
    }


def _command(loaded: LoadedExperiment | None) -> str:
    if loaded is None:
        return "ktune.search(experiment)"
    path = loaded.path
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"ktune search {path}:{loaded.variable}"


def _resume_command(request: _Request, run_id: str) -> str:
    storage = "" if request.storage is None else shown(request.storage)
    if request.loaded is None:
        where = f", storage={storage!r}" if storage else ""
        return f"ktune.search(experiment, resume={run_id[:8]!r}{where})"
    where = f" --storage '{storage}'" if storage else ""
    return f"{_command(request.loaded)} --resume {run_id[:8]}{where}"


def _appoint_judge(books: SearchBooks, ready: Preflight, listener: Listener) -> Judge:
    """Measure what trials are compared with, and record it."""
    listener.on_phase("measuring simple models on the folds")
    references = look_at_data(ready.bench, ready.dataset)
    books.note_references(references_as_dict(references), ready.bench.objective.metric)
    return Judge(ready.bench, tuple(ready.dataset.class_names), references)


def _company_note(study: DrivenStudy) -> Iterator[str]:
    if places := study.company():
        yield f"Other drivers on this search: {', '.join(places)}"


def _take_in_others(
    study: DrivenStudy,
    books: SearchBooks,
    judge: Judge,
    results: list[tuple[Trial, TrialResult]],
) -> None:
    """Add what other drivers have done, to judge the search by all of its trials."""
    if space := study.space():
        books.add_file(names.SPACE_FILE, as_json_bytes(space))
    for trial, result in books.take_in({trial.number for trial, _ in results}):
        judge.judge(trial, result)
        results.append((trial, result))


def _run_trials(
    study: DrivenStudy,
    books: SearchBooks,
    ready: Preflight,
    judge: Judge,
    listener: Listener,
    past: Past | None,
) -> tuple[LoopOutcome, list[tuple[Trial, TrialResult]]]:
    bench = ready.bench
    experiment = bench.experiment
    with study.turn():
        searcher = make_searcher(
            experiment,
            bench.recipe.declare,
            goal=bench.goal,
            path=study,
            epochs=bench.recipe.settings(ready.defaults).epochs,
            start_from=experiment.start_from,
            find_result=_find_result(study, books, past),
        )
    results = list(past.results.values()) if past else []
    for trial, result in results:
        judge.judge(trial, result)

    def track(trial: Trial, result: TrialResult) -> None:
        if result.batch_size:  # who trains it again does so as it went at last
            trial = replace(trial, batch_size=result.batch_size)
        diagnosis = judge.judge(trial, result)
        books.track(trial, result, diagnosis.verdict, diagnosis_as_dict(diagnosis))
        # Predictions stand in MLflow now; keeping them here would add up.
        results.append((trial, replace(result, out_of_fold=b"")))

    loop = SearchLoop(
        searcher,
        make_executor(experiment, work_with(bench)),
        track=track,
        listener=listener,
        trials=experiment.trials,
        timeout=experiment.timeout_seconds,
        trial_timeout=experiment.trial_timeout_seconds,
        outcome=_outcome_so_far(study, past),
        peers=study,
    )
    return loop.run(), results


def _find_result(
    study: DrivenStudy, books: SearchBooks, past: Past | None
) -> Callable[[int], TrialResult | None] | None:
    """Return what finds a trial that MLflow holds though nobody was told."""
    if study.is_shared:  # others may die at any time
        return books.salvage
    return past.find_result if past else None


def _outcome_so_far(study: DrivenStudy, past: Past | None) -> LoopOutcome:
    if past is None or study.is_shared:  # there it counts as done by others
        return LoopOutcome()
    return LoopOutcome(finished=past.n_finished, asked=len(past.results))


def _refit_best(
    store: Store,
    books: SearchBooks,
    ready: Preflight,
    results: list[tuple[Trial, TrialResult]],
    listener: Listener,
) -> tuple[Refit | None, Registration | None]:
    """Refit, test and register the best complete trial; nothing if there is none."""
    goal = ready.bench.goal
    ranked = rank_results(results, goal)
    if not ranked or not ranked[0][1].is_complete:
        return None, None
    if not goal.is_single:
        front = front_of_results(ranked, goal)
        books.note_front({standing.number for standing in front})
    trial, result = ranked[0]
    assert result.best_epoch is not None
    epochs = result.best_epoch + 1
    listener.on_phase(f"refitting trial {trial.number} on all but the test rows")
    run_id = books.trial_runs[trial.number]
    threshold = threshold_of_trial(store, ready.bench, run_id)
    if threshold is not None:
        listener.on_note(threshold.describe())
    fitted = refit(ready.bench, trial, epochs=epochs, threshold=threshold)
    books.note_best(trial, result, extra=list(_test_metrics(fitted)))
    listener.on_phase("registering the model")
    registration, decision = register_best(
        store,
        ready.bench,
        Candidate(
            search_run_id=books.run_id,
            trial_run_id=books.trial_runs[trial.number],
            fitted=fitted,
            example=ready.example,
            class_names=ready.dataset.class_names,
            data_digest=ready.dataset.digest,
        ),
    )
    books.note_model(
        f"{registration.name}/{registration.version}",
        f"{registration.alias}: {decision.reason}",
    )
    return fitted, registration


def _conclude(
    store: Store,
    books: SearchBooks,
    judge: Judge,
    fitted: Refit | None,
    listener: Listener,
) -> None:
    """Judge the search as a whole and write its report."""
    found = judge.judge_search(_as_in_folds(fitted) if fitted else {})
    for number, diagnosis in judge.changed(found).items():
        books.note_verdict(number, diagnosis.verdict)
    books.note_diagnosis(found.verdict, diagnosis_as_dict(found))
    listener.on_phase("writing the report")
    report = read_report(store, find_search(store, books.run_id))
    books.add_file(names.REPORT_FILE, render_report(report).encode())


def _make_ensemble(
    store: Store, books: SearchBooks, ready: Preflight, method: str, listener: Listener
) -> None:
    """Make an ensemble of the trials; a search of one trial only does without."""
    search = find_search(store, books.run_id)
    ensembler = Ensembler(
        store, search, ready.bench, ready.example, ready.dataset.digest, listener
    )
    try:
        ensembler.make(method)
    except KtuneError as error:  # the search itself has done what it should
        listener.on_note(f"No ensemble: {error}")


def _as_in_folds(fitted: Refit) -> dict[str, Estimate]:
    """Return the test scores cut where the folds were cut, to compare with them."""
    ending = "_at_0.5"
    plain = {n: e for n, e in fitted.test.items() if not n.endswith(ending)}
    at_half = {
        n.removesuffix(ending): e for n, e in fitted.test.items() if n.endswith(ending)
    }
    return {**plain, **at_half}


def _test_metrics(fitted: Refit) -> Iterator[MetricPoint]:
    yield MetricPoint("refit_seconds", fitted.seconds)
    yield MetricPoint("refit_epochs", fitted.epochs)
    if fitted.threshold is not None:
        yield MetricPoint("threshold", fitted.threshold.value)
    yield MetricPoint(LATENCY, fitted.latency_ms)
    for name, estimate in fitted.test.items():
        yield MetricPoint(f"test_{name}", estimate.value)
        if estimate.low is not None and estimate.high is not None:
            yield MetricPoint(f"test_{name}_low", estimate.low)
            yield MetricPoint(f"test_{name}_high", estimate.high)
