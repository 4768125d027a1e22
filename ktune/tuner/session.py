"""Open what a driver works with: the run of the search, and the study of its engine."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from ktune.listener import Listener
from ktune.searchers.database import Database
from ktune.searchers.driven_study import DrivenStudy
from ktune.searchers.local_study import LocalStudy
from ktune.searchers.shared_study import SharedStudy
from ktune.tracking.reader import RunView, study_file
from ktune.tracking.search_logger import SearchLogger, SearchStart
from ktune.tracking.store import Store, quiet_mlflow, store_errors
from ktune.tuner.driver import Driver
from ktune.tuner.preflight import Preflight
from ktune.tuner.request import Request
from ktune.tuner.resume import (
    check_unchanged,
    interrupted_search,
    n_left_waiting,
    tell_changes,
)
from ktune.utils.interrupts import shielded


@contextmanager
def open_driver(
    store: Store, request: Request, checked: Preflight, listener: Listener
) -> Iterator[Driver]:
    """Open the run and the study of a search for as long as it is driven.

    Args:
        store: Where the search is recorded.
        request: How the search was asked for.
        checked: The experiment bound to its data.
        listener: Shows progress.

    Raises:
        KtuneError: The search cannot be resumed so, or another process drives it.
    """
    start, tell, past = request.start(checked), listener.on_note, request.past
    with quiet_mlflow(), store_errors(store.location), ExitStack() as stack:
        if past is None:
            _point_out_interrupted(store, start.experiment.name, tell)
            logger = _open_logger(store, start, tell=tell)
            study = _study_of(store, logger.run_id, request, checked)
            stack.enter_context(study.session())
        else:
            check_unchanged(store, past.search, checked)
            for note in tell_changes(past, checked.context.experiment, request.changes):
                tell(note)
            study = _study_of(store, past.search.run_id, request, checked)
            # Another process may drive the search: ask before its run is reopened.
            stack.enter_context(study.session())
            logger = _open_logger(store, start, past.search, tell=tell)
        yield Driver(store, logger, study, request, checked, listener)


def _study_of(
    store: Store, run_id: str, request: Request, checked: Preflight
) -> DrivenStudy:
    context = checked.context
    name = context.experiment.name
    if request.storage is None:
        return LocalStudy(study_file(store, run_id), name)
    return SharedStudy(
        Database(request.storage),
        f"{name}/{run_id}",  # a database holds the studies of many searches
        context.builder.declare,
        is_new=request.past is None,
    )


def _open_logger(
    store: Store,
    start: SearchStart,
    past: RunView | None = None,
    *,
    tell: Callable[[str], None],
) -> SearchLogger:
    """Open the run of the search; end it again if Ctrl-C came meanwhile."""
    opened: list[SearchLogger] = []
    try:
        with shielded():
            opened.append(SearchLogger(store, start, past, tell))
    except KeyboardInterrupt:
        for logger in opened:
            logger.finish(status="KILLED", reason="interrupted")
        raise
    return opened[0]


def _point_out_interrupted(
    store: Store, name: str, tell: Callable[[str], None]
) -> None:
    interrupted = interrupted_search(store, name)
    if interrupted is not None:
        run_id = interrupted.run_id[:8]
        tell(
            f"Search {run_id} of {name!r} was interrupted; to continue it, add: "
            f"--resume {run_id}"
        )
    if count := n_left_waiting(store):
        tell(f"{count} records of earlier searches wait to be written: ktune sync")
