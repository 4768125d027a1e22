"""Make an ensemble of an earlier search."""

from ktune.errors import DataError
from ktune.evaluation.recorded import read_recorded, rebuild
from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.models.ensembles import require_method
from ktune.models.ensembles.ensemble import Ensemble
from ktune.models.ensembles.ensembling import Ensembler
from ktune.tracking.reader import find_run, find_search
from ktune.tracking.store import open_store, quiet_mlflow, store_errors
from ktune.utils.runtime import import_keras, quiet_libraries


def ensemble(
    reference: str = "best",
    *,
    method: str = "greedy",
    experiment: Experiment | None = None,
    tracking_uri: str | None = None,
    listener: Listener | None = None,
) -> Ensemble:
    """Make one model of several trials of a search, and register it by the gate.

    Args:
        reference: The search, or a trial of it whose fold models are bagged.
        method: "greedy" (weighted mean over trials), "stacking" (a linear model on
            top of the best trials) or "bagging" (the mean of a trial's fold models).
        experiment: Taken instead of the recorded source, for a search that was
            started from Python and has none.
        tracking_uri: Where MLflow's store is; see `ktune.search`.
        listener: Is told what is being done.

    Returns:
        Members, estimates, test scores, and where the registered version stands.

    Raises:
        KtuneError: The search has too few trials, its source or data are not to be
            had, or its models cannot be put into one.
    """
    require_method(method)
    listener = listener or Listener()
    store = open_store(tracking_uri)
    import_keras()
    with quiet_libraries(), quiet_mlflow(), store_errors(store.location):
        run = find_run(store, reference)
        search = find_search(store, run.run_id)
        listener.on_phase("setting up data and folds as recorded")
        with rebuild(read_recorded(store, search), experiment=experiment) as rebuilt:
            if not rebuilt.is_same_data:
                raise DataError(
                    f"the data of search {search.run_id[:8]} have changed since, so "
                    "its out-of-fold predictions are of other rows. Search again"
                )
            ensembler = Ensembler(store, search, rebuilt.context, listener)
            return ensembler.make(method, None if run.is_search else run)
