"""Open a recorded search to train one of its models again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from ktune.evaluation.recorded import RecordedSearch, read_recorded
from ktune.tracking.reader import (
    RunView,
    best_trial,
    find_run,
    find_search,
    list_trials,
)
from ktune.tracking.refit_record import RefitRecord, refit_of
from ktune.tracking.store import Store, opened_store
from ktune.utils.runtime import import_keras, quiet_libraries


@dataclass(frozen=True, eq=False)
class OpenSearch:
    """A search of an open store.

    Attributes:
        store: The store.
        run: The requested run: the search or one of its trials.
        search: The search.
    """

    store: Store
    run: RunView
    search: RunView

    @cached_property
    def trial_run(self) -> RunView:
        """The requested trial; the best one of a requested search.

        Raises:
            UnknownReference: No trial of the search is complete.
        """
        return best_trial(self.store, self.search) if self.run.is_search else self.run

    @cached_property
    def refit(self) -> RefitRecord:
        """The trial of the search that was refitted."""
        return refit_of(self.search, list_trials(self.store, self.search))

    def read(self, trial: int | None = None) -> RecordedSearch:
        """Read its records with the sources of a trial; None for the last trials."""
        return read_recorded(self.store, self.search, trial)


@contextmanager
def open_search(
    reference: str, tracking_uri: str | None = None
) -> Iterator[OpenSearch]:
    """Open the store and find a search in it, with Keras loaded and logs quiet.

    Args:
        reference: The search, or a trial of it.
        tracking_uri: Address of MLflow's store; see `ktune.search`.

    Raises:
        UnknownReference: The run does not exist.
        StoreError: The store cannot be used.
    """
    with opened_store(tracking_uri) as store:
        import_keras()
        with quiet_libraries():
            run = find_run(store, reference)
            yield OpenSearch(store, run, find_search(store, run.run_id))
