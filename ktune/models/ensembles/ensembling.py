"""Make an ensemble of a search: choose, estimate, refit, combine, register."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktune.evaluation.context import SearchContext
from ktune.evaluation.recorded_refit import threshold_of_trial
from ktune.evaluation.refit import Refit, Trained, train_again
from ktune.evaluation.training_task import fold_seeds
from ktune.listener import Listener
from ktune.metrics.threshold import Threshold, tune_threshold
from ktune.models.ensembles import require_method
from ktune.models.ensembles.blend import Blend, Mean
from ktune.models.ensembles.ensemble import Ensemble, record_ensemble
from ktune.models.ensembles.library import Library, read_library
from ktune.models.ensembles.members import (
    MemberTrainer,
    combined,
    names_of,
    trial_to_refit,
)
from ktune.models.ensembles.selection import (
    Choose,
    all_folds,
    best_single,
    choose_greedily,
    estimate_nested,
    stack,
)
from ktune.models.registry.card import write_card
from ktune.models.registry.champion import (
    Candidate,
    objective_of_predictions,
    predictions_of,
    predictions_of_version,
    register_best,
)
from ktune.models.registry.gate import Decision, decide
from ktune.tracking import names
from ktune.tracking.final_record import Part
from ktune.tracking.model_registry import version_of_trial
from ktune.tracking.reader import RunView, best_trial
from ktune.tracking.store import Store

_CHOICES: Mapping[str, Choose] = {"greedy": choose_greedily, "stacking": stack}


@dataclass(frozen=True, eq=False)
class Ensembler:
    """Makes ensembles of a search.

    Attributes:
        store: The store of the search, which also gets the ensemble.
        search: The search.
        context: Its context.
        listener: Receives progress messages.
    """

    store: Store
    search: RunView
    context: SearchContext
    listener: Listener

    def make(
        self, method: str = "greedy", trial_run: RunView | None = None
    ) -> Ensemble:
        """Make an ensemble, compare it with the best single model, register it.

        Args:
            method: "greedy", "stacking" or "bagging".
            trial_run: Trial for bagging; None: the best one.

        Raises:
            KtuneError: The search has too few trials, or its models cannot be
                combined.
        """
        require_method(method)
        library = read_library(self.store, self.search, self.context)
        started = time.perf_counter()
        if method == "bagging":
            chosen = trial_run or best_trial(self.store, self.search)
            parts: tuple[Part, ...] = (Part(chosen.number, chosen.run_id, 1.0),)
            estimate = None
            members, member_names = self._bag(chosen)
            size = len(members)
            blend: Blend = Mean(tuple(range(size)), (1 / size,) * size)
        else:
            self.listener.on_phase("choosing members by out-of-fold predictions")
            choose = _CHOICES[method]
            blend = choose(library, all_folds(library))
            estimate = estimate_nested(library, choose)
            parts = parts_of(library, blend)
            trainer = MemberTrainer(self.store, self.context, self.listener)
            members, member_names = trainer.train(parts), names_of(parts)
        threshold = self._threshold(library, method, parts, blend)
        self.listener.on_phase("combining the members in one Keras model")
        fitted = combined(
            self.context,
            members,
            member_names,
            blend,
            started=started,
            threshold=threshold,
        )
        return self._register(library, method, parts, estimate, fitted)

    def _bag(self, run: RunView) -> tuple[list[Trained], list[str]]:
        """Train a trial's fold models again, each on the training rows of its fold.

        Preprocessing is fitted on all rows except the test rows, so that all members
        share it. This is no leak, as these models are scored on test rows only.
        """
        trial, epochs = trial_to_refit(self.store, run.run_id)
        folds, members = self.context.folds, []
        for fold, seed in zip(folds, fold_seeds(trial, folds), strict=True):
            self.listener.on_phase(
                f"training the model of fold {fold.index} of trial {trial.number}"
            )
            members.append(
                train_again(
                    self.context, trial, epochs=epochs, rows=fold.train, seed=seed
                )
            )
        return members, [f"trial_{trial.number}_fold_{f.index}" for f in folds]

    def _threshold(
        self, library: Library, method: str, parts: Sequence[Part], blend: Blend
    ) -> Threshold | None:
        """Return the decision threshold, tuned on the combined predictions."""
        if method == "bagging":
            return threshold_of_trial(self.store, self.context, parts[0].run_id)
        return threshold_of_blend(self.context, library, blend)

    def _register(
        self,
        library: Library,
        method: str,
        parts: tuple[Part, ...],
        estimate: Any,
        fitted: Refit,
    ) -> Ensemble:
        self.listener.on_phase("registering the ensemble")
        metric = library.metric
        single = best_trial(self.store, self.search)
        versus = self._versus_single(single, fitted)
        estimates = {} if estimate is None else {metric: estimate.mean}
        registration, decision = register_best(
            self.store,
            self.context,
            Candidate(
                search_run_id=self.search.run_id,
                trial_run_id="",
                fitted=fitted,
                tags=version_tag(f"an ensemble by {method}", parts, estimates),
                is_smoke_test=self.search.is_smoke_test,
            ),
        )
        ensemble = Ensemble(
            method=method,
            parts=parts,
            metric=metric,
            estimate=estimate,
            single=estimate_nested(library, best_single),
            single_trial=single.number,
            test=dict(fitted.test),
            versus_single=versus,
            model=registration.name,
            version=registration.version,
            alias=registration.alias or "",
            gate=decision.reason,
        )
        write_card(self.store, registration.name, registration.version)
        record_ensemble(self.store, self.search.run_id, ensemble)
        return ensemble

    def _versus_single(self, single: RunView, fitted: Refit) -> str:
        """Return the comparison with the best single model on the test rows."""
        version = version_of_trial(self.store, single.run_id)
        predictions = predictions_of(self.context, fitted)
        partition = self.context.partition
        if version is None or predictions is None or partition.y_test is None:
            return ""
        assert partition.x_test is not None
        single_predictions = predictions_of_version(
            self.store, version, self.context, partition.x_test
        )
        decision: Decision = decide(
            predictions,
            single_predictions,
            partition.y_test,
            task=self.context.data.task,
            objective=objective_of_predictions(self.context),
            seed=self.context.experiment.seed,
        )
        return decision.reason.replace("the champion", "the best single model")


def parts_of(library: Library, blend: Blend) -> tuple[Part, ...]:
    """Return the trials of a blend with their weights."""
    return tuple(
        Part(library.runs[place].number, library.runs[place].run_id, weight)
        for place, weight in zip(blend.members, blend.weights(), strict=True)
    )


def threshold_of_blend(
    context: SearchContext, library: Library, blend: Blend
) -> Threshold | None:
    """Return the decision threshold of combined predictions; None for 0.5."""
    wanted = context.experiment.threshold
    if not isinstance(wanted, str):
        return None if wanted is None else Threshold(wanted)
    blended = blend.apply(library.predictions[list(blend.members)])
    return tune_threshold(library.y, blended, context.objective.metric)


def version_tag(
    method: str, parts: Sequence[Part], estimates: Mapping[str, float]
) -> dict[str, str]:
    """Return the tag of a version that is made of several models, for its card.

    Args:
        method: Description of the method, such as "an ensemble by stacking".
        parts: Its trials.
        estimates: Estimated scores by metric, if there are any.
    """
    weights: dict[str, float] = {}
    for part in parts:
        weights[part.run_id] = weights.get(part.run_id, 0.0) + part.weight
    tag = {"method": method, "weights": weights, "estimates": dict(estimates)}
    return {names.ENSEMBLE: json.dumps(tag)}
