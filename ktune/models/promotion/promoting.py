"""Make a trial's model the champion, by the gate."""

import json
import time
from dataclasses import dataclass

from ktune.errors import ExperimentError, UnknownReference
from ktune.evaluation.recorded import (
    Rebuilt,
    read_recorded,
    rebuild,
    threshold_of_trial,
)
from ktune.evaluation.refit import Refit, Trained, measured, refit, train_again
from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.metrics.threshold import Threshold
from ktune.models.ensembles.blend import Mean
from ktune.models.ensembles.combining import combine
from ktune.models.promotion.promotion import Promotion
from ktune.models.registry.card import write_card
from ktune.models.registry.champion import (
    Candidate,
    decide_champion,
    predictions_of_version,
    register_best,
    settle,
)
from ktune.models.registry.gate import Decision
from ktune.tracking import names
from ktune.tracking.model_registry import (
    CHAMPION,
    Registration,
    find_champion,
    version_of_trial,
)
from ktune.tracking.reader import (
    RunView,
    best_trial,
    find_run,
    find_search,
    read_trial,
)
from ktune.tracking.store import Store, open_store, quiet_mlflow, store_errors
from ktune.trial import Trial
from ktune.utils.runtime import import_keras, quiet_libraries
from ktune.utils.seeds import derive_seed


def promote(
    reference: str = "best",
    *,
    force: bool = False,
    n_refits: int = 1,
    experiment: Experiment | None = None,
    tracking_uri: str | None = None,
    listener: Listener | None = None,
) -> Promotion:
    """Make a trial's model the champion if it is better by more than noise.

    It is refitted first if that has not been done. Candidate and champion are measured
    on the same untouched test rows; where data or test rows have changed since, the
    champion is measured anew on the present ones, and the reason says so.

    Args:
        reference: A trial; or a search, for its best trial.
        force: Make it champion whatever the gate says.
        n_refits: Refit it under so many seeds; their mean, one Keras model, is what is
            measured and registered. It steadies models that depend on their seed.
        experiment: Taken instead of the recorded source, for a search that was
            started from Python and has none.
        tracking_uri: Where MLflow's store is; see `ktune.search`.
        listener: Is told what is being done.

    Raises:
        KtuneError: The run, its source or its data are not to be had.
    """
    if n_refits < 1:
        raise ExperimentError(f"n_refits must be at least 1; got {n_refits}")
    listener = listener or Listener()
    store = open_store(tracking_uri)
    import_keras()
    with quiet_libraries(), quiet_mlflow(), store_errors(store.location):
        run = find_run(store, reference)
        search = find_search(store, run.run_id)
        trial_run = best_trial(store, search) if run.is_search else run
        _require_complete(trial_run)
        present = find_champion(store, search.experiment)
        version = version_of_trial(store, trial_run.run_id) if n_refits == 1 else None
        if present and version and present.version == version.version:
            return _stays(present)
        listener.on_phase("setting up data and folds as recorded")
        recorded = read_recorded(store, search, trial_run.number)
        with rebuild(recorded, experiment=experiment) as rebuilt:
            work = _PromotionWork(store, search, trial_run, rebuilt, listener)
            is_new = version is None or not rebuilt.is_same_data
            if version is None or is_new:
                settled, decision = work.refit(n_refits, force=force)
            else:
                settled, decision = work.judge(version, force=force)
        write_card(store, settled.name, settled.version)
    return Promotion(
        model=settled.name,
        version=settled.version,
        alias=settled.alias or "",
        reason=decision.reason,
        before=None if present is None else present.version,
        is_new_version=is_new,
        is_forced=force and not decision.is_promoted,
    )


def _require_complete(run: RunView) -> None:
    if run.state != "complete":
        raise UnknownReference(
            f"trial {run.number} of {run.experiment!r} is {run.state}; only a complete "
            "trial can be promoted. They are listed by: "
            f"ktune runs {run.tags[names.PARENT][:8]}"
        )


def _stays(present: Registration) -> Promotion:
    return Promotion(
        model=present.name,
        version=present.version,
        alias=CHAMPION,
        reason="nothing to do",
        before=present.version,
        is_new_version=False,
        is_move=False,
    )


@dataclass(frozen=True, eq=False)
class _PromotionWork:
    """What is needed to judge a trial's model."""

    store: Store
    search: RunView
    trial_run: RunView
    rebuilt: Rebuilt
    listener: Listener

    def judge(
        self, version: Registration, *, force: bool
    ) -> tuple[Registration, Decision]:
        """Compare a registered version with the champion, and move an alias."""
        self.listener.on_phase(f"measuring version {version.version} and the champion")
        context = self.rebuilt.context
        ours = None
        if context.partition.x_test is not None:
            x_test = context.partition.x_test
            ours = predictions_of_version(self.store, version, context, x_test)
        decision = decide_champion(self.store, context, ours)
        return settle(self.store, version, decision, force=force), decision

    def refit(self, n_refits: int, *, force: bool) -> tuple[Registration, Decision]:
        """Refit the trial for the epochs found best, register and judge it."""
        context, run = self.rebuilt.context, self.trial_run
        trial, result = read_trial(self.store, run)
        assert result.best_epoch is not None
        epochs = result.best_epoch + 1
        self.listener.on_phase(f"refitting trial {trial.number}")
        threshold = threshold_of_trial(self.store, context, run.run_id)
        if n_refits == 1:
            fitted = refit(context, trial, epochs=epochs, threshold=threshold)
        else:
            fitted = self._refit_often(trial, epochs, n_refits, threshold)
        self.listener.on_phase("measuring it and the champion")
        candidate = Candidate(
            search_run_id=self.search.run_id,
            trial_run_id=run.run_id if n_refits == 1 else "",
            fitted=fitted,
            tags={} if n_refits == 1 else _tag_of_refits(run, n_refits),
        )
        return register_best(self.store, context, candidate, force=force)

    def _refit_often(
        self, trial: Trial, epochs: int, n_refits: int, threshold: Threshold | None
    ) -> Refit:
        """Refit under several seeds; return the mean of the models as one."""
        started = time.perf_counter()
        context = self.rebuilt.context
        trained = []
        for number in range(n_refits):
            self.listener.on_phase(f"refit {number + 1} of {n_refits}")
            seed = None if number == 0 else derive_seed(trial.seed, "refit", number)
            trained.append(train_again(context, trial, epochs=epochs, seed=seed))
        preprocessing = trained[0].preprocessing
        model = combine(
            [one.model for one in trained],
            Mean(tuple(range(n_refits)), (1 / n_refits,) * n_refits),
            preprocessing.transform(context.example),
            names=[f"refit_{number}" for number in range(n_refits)],
            task=context.data.task,
        )
        seconds = time.perf_counter() - started
        together = Trained(model, preprocessing, epochs)
        return measured(context, together, seconds=seconds, threshold=threshold)


def _tag_of_refits(run: RunView, n_refits: int) -> dict[str, str]:
    method = f"the mean of {n_refits} refits"
    return {names.ENSEMBLE: json.dumps({"method": method, "weights": {run.run_id: 1}})}
