"""Make an ensemble of an earlier search."""

from ktune.errors import DataError
from ktune.evaluation.recorded import rebuild
from ktune.evaluation.recorded_search import open_search
from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.models.ensembles import require_method
from ktune.models.ensembles.ensemble import Ensemble
from ktune.models.ensembles.ensembling import Ensembler


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
        reference: The search, or one of its trials for bagging.
        method: "greedy" (weighted mean over trials), "stacking" (a linear model on
            top of the best trials) or "bagging" (the mean of a trial's fold models).
        experiment: Replaces the recorded source for a search that was started from
            Python, which has none.
        tracking_uri: Address of MLflow's store; see `ktune.search`.
        listener: Receives progress messages.

    Returns:
        Members, estimates, test scores, and the registered version.

    Raises:
        KtuneError: The search has too few trials, its source or data are not
            available, or its models cannot be combined.
    """
    require_method(method)
    listener = listener or Listener()
    with open_search(reference, tracking_uri) as opened:
        run, search = opened.run, opened.search
        listener.on_phase("rebuilding data and folds as recorded")
        with rebuild(opened.read(), experiment=experiment) as rebuilt:
            if not rebuilt.is_same_data:
                raise DataError(
                    f"the data of search {search.run_id[:8]} have changed, so its "
                    "out-of-fold predictions belong to other rows. Search again"
                )
            ensembler = Ensembler(opened.store, search, rebuilt.context, listener)
            return ensembler.make(method, None if run.is_search else run)
