"""Open the run and the study of a search for its driver."""

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
    changed_settings,
    check_unchanged,
    interrupted_search,
    n_pending_records,
)
from ktune.utils.interrupts import shielded


@contextmanager
def open_driver(
    store: Store, request: Request, checked: Preflight, listener: Listener
) -> Iterator[Driver]:
    """Open the run and the study of a search for the block.

    Args:
        store: The store of the search.
        request: The request of the user.
        checked: The experiment bound to its data.
        listener: Shows progress.

    Raises:
        KtuneError: The search cannot be resumed, or another process drives it.
    """
    start, notify, past = request.start(checked), listener.on_note, request.past
    with quiet_mlflow(), store_errors(store.location), ExitStack() as stack:
        if past is None:
            _mention_interrupted(store, start.experiment.name, notify)
            logger = _open_logger(store, start, notify=notify)
            study = _study_of(store, logger.run_id, request, checked)
            stack.enter_context(study.session())
        else:
            check_unchanged(store, past.search, checked)
            for note in changed_settings(
                past, checked.context.experiment, request.changes
            ):
                notify(note)
            study = _study_of(store, past.search.run_id, request, checked)
            # Another process may drive the search: lock it before reopening its run.
            stack.enter_context(study.session())
            logger = _open_logger(store, start, past.search, notify=notify)
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
    notify: Callable[[str], None],
) -> SearchLogger:
    """Open the run of the search; end it again after Ctrl-C."""
    opened: list[SearchLogger] = []
    try:
        with shielded():
            opened.append(SearchLogger(store, start, past, notify))
    except KeyboardInterrupt:
        for logger in opened:
            logger.finish(status="KILLED", reason="interrupted")
        raise
    return opened[0]


def _mention_interrupted(
    store: Store, name: str, notify: Callable[[str], None]
) -> None:
    interrupted = interrupted_search(store, name)
    if interrupted is not None:
        run_id = interrupted.run_id[:8]
        notify(
            f"Search {run_id} of {name!r} was interrupted; to continue it, add: "
            f"--resume {run_id}"
        )
    if count := n_pending_records(store):
        notify(f"{count} records of earlier searches are queued; write: ktune sync")
