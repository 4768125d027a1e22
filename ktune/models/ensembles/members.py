"""Refit the members of an ensemble, and combine them in one Keras model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ktune.data.dataset import take_rows
from ktune.evaluation.context import SearchContext
from ktune.evaluation.refit import Refit, Trained, measured, train_again
from ktune.listener import Listener
from ktune.metrics.threshold import Threshold
from ktune.models.ensembles.blend import Blend, Mean
from ktune.models.ensembles.combining import combine
from ktune.models.ensembles.library import require_combinable
from ktune.tracking.final_record import Part
from ktune.tracking.reader import find_run, read_trial
from ktune.tracking.store import Store
from ktune.trial import Trial
from ktune.utils.seeds import derive_seed

_CHECKED_ROWS = 256


@dataclass(frozen=True, eq=False)
class MemberTrainer:
    """Trains members of an ensemble on all rows except the test rows.

    Attributes:
        store: The store of the trials.
        context: The context of their search.
        listener: Receives progress messages.
        trained: Members that are trained already, by part without its weight.
    """

    store: Store
    context: SearchContext
    listener: Listener
    trained: Mapping[tuple[str, int], Trained] = field(default_factory=dict)

    def train(self, parts: Sequence[Part]) -> list[Trained]:
        """Train every part that is not trained already.

        Raises:
            RefitFailed: Training diverges, or takes more memory than is free.
        """
        return [self._known(part) or self._train(part) for part in parts]

    def mean(self, parts: Sequence[Part], threshold: Threshold | None) -> Refit:
        """Return the weighted mean of all parts as one Keras model, measured.

        Raises:
            KtuneError: A part cannot be trained, or Keras cannot combine them.
        """
        require_combinable(self.context)
        started = time.perf_counter()
        members = self.train(parts)
        self.listener.on_phase("combining the members in one Keras model")
        return combined(
            self.context,
            members,
            names_of(parts),
            Mean(tuple(range(len(parts))), tuple(part.weight for part in parts)),
            started=started,
            threshold=threshold,
        )

    def _known(self, part: Part) -> Trained | None:
        return self.trained.get((part.run_id, part.refit))

    def _train(self, part: Part) -> Trained:
        again = f" with seed {part.refit + 1}" if part.refit else ""
        self.listener.on_phase(f"refitting trial {part.number}{again} for the mean")
        trial, epochs = trial_to_refit(self.store, part.run_id)
        seed = derive_seed(trial.seed, "refit", part.refit) if part.refit else None
        return train_again(self.context, trial, epochs=epochs, seed=seed)


def trial_to_refit(store: Store, run_id: str) -> tuple[Trial, int]:
    """Return a recorded trial and its best number of epochs."""
    trial, result = read_trial(store, find_run(store, run_id))
    assert result.best_epoch is not None
    return trial, result.best_epoch + 1


def refits_of(number: int, run_id: str, n_refits: int) -> tuple[Part, ...]:
    """Return the parts of a mean over refits of one trial with different seeds."""
    share = 1 / n_refits
    return tuple(Part(number, run_id, share, refit) for refit in range(n_refits))


def names_of(parts: Sequence[Part]) -> list[str]:
    """Return a unique name of every part, for its layers."""
    return [
        f"trial_{part.number}" + (f"_refit_{part.refit}" if part.refit else "")
        for part in parts
    ]


def combined(
    context: SearchContext,
    members: Sequence[Trained],
    member_names: Sequence[str],
    blend: Blend,
    *,
    started: float,
    threshold: Threshold | None,
) -> Refit:
    """Combine trained members in one Keras model, and measure it.

    Args:
        context: The context of the search.
        members: The members; they share their preprocessing.
        member_names: A unique name for each.
        blend: Combines their predictions.
        started: Time of `time.perf_counter` at the start of their training.
        threshold: Decision threshold of the test scores; None for 0.5.

    Raises:
        ExperimentError: Keras cannot combine the members.
    """
    preprocessing, partition = members[0].preprocessing, context.partition
    rows = take_rows(partition.x, np.arange(min(_CHECKED_ROWS, len(partition.y))))
    model = combine(
        [member.model for member in members],
        blend,
        preprocessing.transform(rows),
        names=member_names,
        task=context.data.task,
    )
    epochs = max(member.epochs for member in members)
    return measured(
        context,
        Trained(model, preprocessing, epochs),
        seconds=time.perf_counter() - started,
        threshold=threshold,
    )
