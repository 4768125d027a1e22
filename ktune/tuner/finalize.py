"""Finalize a search: diagnose it, write its report, make an ensemble."""

from ktune.diagnosis import diagnosis_as_dict
from ktune.errors import KtuneError
from ktune.evaluation.context import SearchContext
from ktune.evaluation.refit import Refit
from ktune.listener import Listener
from ktune.metrics.intervals import Estimate
from ktune.models.ensembles.ensembling import Ensembler
from ktune.report import read_report, render_report
from ktune.tracking import names
from ktune.tracking.reader import find_search
from ktune.tracking.search_logger import SearchLogger
from ktune.tracking.store import Store
from ktune.tuner.diagnoser import Diagnoser


def finalize(
    store: Store,
    logger: SearchLogger,
    diagnoser: Diagnoser,
    fitted: Refit | None,
    listener: Listener,
) -> None:
    """Diagnose the search as a whole and write its report.

    Args:
        store: The store of the search.
        logger: Writes the search.
        diagnoser: Has diagnosed the trials.
        fitted: The best trial, refitted; None if there is none.
        listener: Receives progress messages.
    """
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
