"""Make a trial's model the champion, by the gate."""

from collections.abc import Sequence
from dataclasses import dataclass

from ktune.errors import ExperimentError, UnknownReference
from ktune.evaluation.context import SearchContext
from ktune.evaluation.recorded import rebuild
from ktune.evaluation.recorded_refit import refit_recorded, threshold_of_trial
from ktune.evaluation.recorded_search import OpenSearch, open_search
from ktune.evaluation.refit import Refit
from ktune.experiment.experiment import Experiment
from ktune.listener import Listener
from ktune.models.ensembles.ensembling import version_tag
from ktune.models.ensembles.members import MemberTrainer, refits_of
from ktune.models.promotion.promotion import Promotion
from ktune.models.registry.card import write_card
from ktune.models.registry.champion import (
    Candidate,
    compare_and_assign,
    predictions_of_version,
    register_best,
)
from ktune.models.registry.gate import Decision
from ktune.tracking import names
from ktune.tracking.final_record import Part, formula
from ktune.tracking.model_registry import (
    CHAMPION,
    Registration,
    find_champion,
    find_version,
    version_of_trial,
)
from ktune.tracking.reader import RunView, read_trial


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

    The trial is refitted first if it has no version yet. Candidate and champion are
    measured on the same untouched test rows. If data or test rows have changed, the
    champion is measured again on the present ones, and the reason says so.

    Args:
        reference: A trial; or a search, for its final model.
        force: Make it champion even if the gate refuses.
        n_refits: Number of refits with different seeds; their mean is measured and
            registered as one Keras model. It stabilizes models that depend on seeds.
        experiment: Replaces the recorded source for a search that was started from
            Python, which has none.
        tracking_uri: Address of MLflow's store; see `ktune.search`.
        listener: Receives progress messages.

    Raises:
        KtuneError: The run, its source or its data are not available.
    """
    if n_refits < 1:
        raise ExperimentError(f"n_refits must be at least 1; got {n_refits}")
    listener = listener or Listener()
    with open_search(reference, tracking_uri) as opened:
        store, trial_run = opened.store, opened.trial_run
        _require_complete(trial_run)
        _require_full_search(opened.search, force=force)
        version = _version_of(opened) if n_refits == 1 else None
        name = version.name if version else opened.search.experiment
        present = find_champion(store, name)
        if present and version and present.version == version.version:
            return _stays(present)
        listener.on_phase("rebuilding data and folds as recorded")
        recorded = opened.read(trial_run.number)
        with rebuild(recorded, experiment=experiment) as rebuilt:
            work = _PromotionWork(opened, rebuilt.context, listener)
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
        before=decision.champion,
        is_new_version=is_new,
        is_forced=force and not decision.is_promoted,
    )


def _version_of(opened: OpenSearch) -> Registration | None:
    """Return the version of the trial, or of the average of a search."""
    if opened.run.is_search and (version := opened.refit.version_of_average):
        return find_version(opened.store, *version)
    return version_of_trial(opened.store, opened.trial_run.run_id)


def _require_complete(run: RunView) -> None:
    if run.state != "complete":
        raise UnknownReference(
            f"trial {run.number} of {run.experiment!r} is {run.state}; only a complete "
            "trial can be promoted. List them with: "
            f"ktune runs {run.tags[names.PARENT][:8]}"
        )


def _require_full_search(search: RunView, *, force: bool) -> None:
    if search.is_smoke_test and not force:
        raise ExperimentError(
            f"search {search.run_id[:8]} of {search.experiment!r} is a smoke test (one "
            "epoch, two folds), so its models do not become champion. Promote a trial "
            "of a whole search, or add --force"
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
    """Compares the model of a trial with the champion, refitted first if necessary."""

    opened: OpenSearch
    context: SearchContext
    listener: Listener

    def judge(
        self, version: Registration, *, force: bool
    ) -> tuple[Registration, Decision]:
        """Compare a registered version with the champion, and assign an alias."""
        self.listener.on_phase(f"measuring version {version.version} and the champion")
        context, store = self.context, self.opened.store
        predictions = None
        if context.partition.x_test is not None:
            x_test = context.partition.x_test
            predictions = predictions_of_version(store, version, context, x_test)
        return compare_and_assign(store, context, version, predictions, force=force)

    def refit(self, n_refits: int, *, force: bool) -> tuple[Registration, Decision]:
        """Refit the trial for its best number of epochs, register and compare it."""
        context, store = self.context, self.opened.store
        run = self.opened.trial_run
        trial, result = read_trial(store, run)
        assert result.best_epoch is not None
        epochs = result.best_epoch + 1
        self.listener.on_phase(f"refitting trial {trial.number}")
        parts = refits_of(run.number, run.run_id, n_refits)
        if n_refits == 1:
            fitted = refit_recorded(store, context, trial, run.run_id, epochs=epochs)
        else:
            fitted = self._refit_often(parts)
        self.listener.on_phase("measuring it and the champion")
        candidate = Candidate(
            search_run_id=self.opened.search.run_id,
            trial_run_id=run.run_id if n_refits == 1 else "",
            fitted=fitted,
            tags={} if n_refits == 1 else version_tag(formula(parts), parts, {}),
            is_smoke_test=self.opened.search.is_smoke_test,
        )
        return register_best(store, context, candidate, force=force)

    def _refit_often(self, parts: Sequence[Part]) -> Refit:
        """Refit with several seeds; return the mean of the models as one model."""
        context, store = self.context, self.opened.store
        threshold = threshold_of_trial(store, context, parts[0].run_id)
        return MemberTrainer(store, context, self.listener).mean(parts, threshold)
