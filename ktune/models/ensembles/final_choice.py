"""Choose the final model of a search: its best trial, or a mean of several refits.

Members and weights come from the out-of-fold predictions of the trials, by log loss or
squared error; the test rows take no part. The gain is measured row by row on folds that
took no part in the choice: on each fold, the mean and the single model that the other
folds choose are compared. The best trial itself was chosen on all folds, which would
favour it by as much as an average gains.
"""

from dataclasses import dataclass

import numpy as np

from ktune.metrics.proper_scores import PairedGain, paired_gain
from ktune.metrics.ranking import standard_error
from ktune.metrics.scores import Objective, compute_metrics
from ktune.models.ensembles.ensembling import parts_of
from ktune.models.ensembles.library import Library
from ktune.models.ensembles.members import refits_of
from ktune.models.ensembles.selection import (
    NestedEstimate,
    all_folds,
    best_single,
    choose_greedily,
    estimate_of,
    predict_nested,
)
from ktune.tracking.final_record import Part

MIN_TRIALS = 10
"""Number of complete trials from which "auto" considers an average."""

N_REFITS = 3
"""Number of refits of one trial, if a mean over trials is no better."""


@dataclass(frozen=True)
class FinalChoice:
    """The choice of a search's final model.

    Attributes:
        parts: The parts of the average; empty: the best trial alone.
        reason: Reason for the choice, as text.
        estimate: Loss of a mean over trials on folds that did not choose it; None if
            it is not estimated, or another model is chosen.
    """

    parts: tuple[Part, ...]
    reason: str
    estimate: NestedEstimate | None = None


def choose_final(library: Library, objective: Objective, *, wanted: str) -> FinalChoice:
    """Choose a mean over trials if it is better than the best trial.

    Args:
        library: The trials; the first one is the best trial of the search.
        objective: The objective of the search, a metric of predictions.
        wanted: "average": take a mean even within noise, over refits of the best trial
            where one over trials is no better. "auto": only beyond noise.
    """
    parts = parts_of(library, choose_greedily(library, all_folds(library)))
    if len(parts) == 1:
        return _alone_or_refits(
            library,
            f"no mean over trials is better than trial {library.runs[0].number} alone",
            wanted,
        )
    nested = predict_nested(library, choose_greedily)
    alone = predict_nested(library, best_single)
    if nested is None or alone is None:
        return _alone_or_refits(library, "one hold-out cannot estimate a mean", wanted)
    gain = paired_gain(library.losses(alone), library.losses(nested), library.weights)
    summary = (
        f"{library.metric} out of fold, a mean over {len(parts)} trials against the "
        f"best one alone: {gain}"
    )
    if problem := _problem(library, nested, gain, objective, wanted):
        return _alone_or_refits(library, f"{summary}, {problem}", wanted)
    return FinalChoice(parts, summary, estimate_of(library, nested))


def _problem(
    library: Library,
    nested: np.ndarray,
    gain: PairedGain,
    objective: Objective,
    wanted: str,
) -> str:
    """Return why a mean over trials is not taken; "" if it is."""
    if not gain.mean > 0:
        return "no gain"
    if wanted == "auto" and not gain.is_beyond_noise:
        return "within noise"
    if wanted == "auto" and _loses(library, nested, objective):
        return f"but {objective.metric} is worse"
    return ""


def _loses(library: Library, nested: np.ndarray, objective: Objective) -> bool:
    """Whether a mean is worse by the objective, by more than a standard error."""
    sign = 1.0 if objective.direction == "max" else -1.0

    def score(predictions: np.ndarray, rows: np.ndarray) -> float:
        weights = None if library.weights is None else library.weights[rows]
        y, wanted = library.y[rows], (objective.metric,)
        scores = compute_metrics(wanted, y, predictions[rows], library.task, weights)
        return sign * scores[objective.metric]

    gains = [
        score(nested, rows) - score(library.predictions[0], rows)
        for rows in library.folds
    ]
    return float(np.mean(gains)) + standard_error(gains) < 0


def _alone_or_refits(library: Library, reason: str, wanted: str) -> FinalChoice:
    """Return the best trial, or a mean over refits of it if an average is wanted."""
    if wanted != "average":
        return FinalChoice((), reason)
    run = library.runs[0]
    parts = refits_of(run.number, run.run_id, N_REFITS)
    return FinalChoice(parts, f"{reason}; hence over refits of this trial")
