"""Finalize a search: refit its best trial, register, diagnose, report."""

from collections.abc import Iterator

from ktune.diagnosis import diagnosis_as_dict
from ktune.errors import KtuneError, ModelLost
from ktune.evaluation.context import SearchContext
from ktune.evaluation.recorded_refit import refit_recorded
from ktune.evaluation.refit import Refit
from ktune.listener import Listener
from ktune.metrics.intervals import Estimate
from ktune.metrics.ranking import front_of_results, rank_results
from ktune.metrics.scores import LATENCY
from ktune.models.ensembles.ensembling import Ensembler
from ktune.models.registry.champion import Candidate, register_best
from ktune.report import read_report, render_report
from ktune.tracking import names
from ktune.tracking.model_files import delete_pending_models
from ktune.tracking.model_registry import Registration
from ktune.tracking.reader import find_search
from ktune.tracking.records import MetricPoint
from ktune.tracking.search_logger import SearchLogger
from ktune.tracking.store import Store
from ktune.trial import Trial, TrialResult
from ktune.tuner.diagnoser import Diagnoser


def refit_best(
    store: Store,
    logger: SearchLogger,
    context: SearchContext,
    results: list[tuple[Trial, TrialResult]],
    listener: Listener,
    *,
    register: bool = True,
    is_smoke_test: bool = False,
) -> tuple[Refit | None, Registration | None]:
    """Refit, test and register the best complete trial, if there is one.

    Args:
        store: The store to write to.
        logger: Writes the search.
        context: The experiment bound to its data.
        results: All trials.
        listener: Receives progress messages.
        register: Whether the model is registered.
        is_smoke_test: Whether it may only be registered without an alias.
    """
    goal = context.goal
    ranked = rank_results(results, goal)
    if not ranked or not ranked[0][1].is_complete:
        return None, None
    if not goal.is_single:
        front = front_of_results(ranked, goal)
        logger.log_front({standing.number for standing in front})
    trial, result = ranked[0]
    assert result.best_epoch is not None
    listener.on_phase(f"refitting trial {trial.number} on all rows but the test rows")
    run_id, epochs = logger.trial_runs[trial.number], result.best_epoch + 1
    fitted = refit_recorded(store, context, trial, run_id, epochs=epochs)
    if fitted.threshold is not None:
        listener.on_note(fitted.threshold.describe())
    logger.log_best(trial, result, extra=list(_test_metrics(fitted)))
    if not register:
        return fitted, None
    listener.on_phase("registering the model")
    candidate = Candidate(
        search_run_id=logger.run_id,
        trial_run_id=run_id,
        fitted=fitted,
        is_smoke_test=is_smoke_test,
    )
    delete_pending_models(store, logger.run_id)  # of a process that was killed
    try:
        registration, decision = register_best(store, context, candidate)
    except ModelLost as error:  # the trials count, and the champion stays
        listener.on_note(f"Not registered: {error}")
        return fitted, None
    logger.log_model(
        f"{registration.name}/{registration.version}",
        f"{registration.alias or 'no alias'}: {decision.reason}",
    )
    return fitted, registration


def finalize(
    store: Store,
    logger: SearchLogger,
    diagnoser: Diagnoser,
    fitted: Refit | None,
    listener: Listener,
) -> None:
    """Diagnose the search as a whole and write its report."""
    final = diagnoser.diagnose_search(_as_in_folds(fitted) if fitted else {})
    for number, diagnosis in diagnoser.changed_verdicts(final).items():
        logger.log_verdict(number, diagnosis.verdict)
    logger.log_diagnosis(final.verdict, diagnosis_as_dict(final))
    listener.on_phase("writing the report")
    report = read_report(store, find_search(store, logger.run_id))
    logger.add_file(names.REPORT_FILE, render_report(report).encode())


def make_ensemble(
    store: Store,
    logger: SearchLogger,
    context: SearchContext,
    method: str,
    listener: Listener,
) -> None:
    """Make an ensemble of the trials, if there are enough."""
    search = find_search(store, logger.run_id)
    ensembler = Ensembler(store, search, context, listener)
    try:
        ensembler.make(method)
    except KtuneError as error:  # the search itself has succeeded
        listener.on_note(f"No ensemble: {error}")


def _as_in_folds(fitted: Refit) -> dict[str, Estimate]:
    """Return the test scores at threshold 0.5, which fold scores have."""
    suffix = "_at_0.5"
    plain = {n: e for n, e in fitted.test.items() if not n.endswith(suffix)}
    at_half = {
        n.removesuffix(suffix): e for n, e in fitted.test.items() if n.endswith(suffix)
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
