"""Read the contenders of a comparison from MLflow."""

import hashlib
from collections.abc import Sequence

from ktune.diagnosis import Context, diagnose_trial
from ktune.errors import StoreError
from ktune.metrics.scores import LATENCY
from ktune.report.comparison.comparing import compare
from ktune.report.comparison.view import Comparison, Contender
from ktune.report.reading import read_context, read_trial_view
from ktune.tracking import names
from ktune.tracking.artifacts import read_arrays, read_run_file
from ktune.tracking.reader import RunView, best_trial, find_run, find_search
from ktune.tracking.refit_record import refit_of
from ktune.tracking.store import Store

_LETTERS = "ABCDEFGH"


def read_comparison(store: Store, references: Sequence[str]) -> Comparison:
    """Compare referenced trials; a reference to a search means its best trial.

    Args:
        store: The store of the trials.
        references: Run ids or unique prefixes, ``best``, or names of experiments.

    Raises:
        UnknownReference: A run does not exist, or there are too few or too many.
        StoreError: A record is missing.
    """
    letters = [
        _LETTERS[i] if i < len(_LETTERS) else str(i) for i in range(len(references))
    ]
    searches: dict[str, tuple[Context, str]] = {}
    return compare(
        [
            _contender(store, find_run(store, reference), letter, searches)
            for reference, letter in zip(references, letters, strict=True)
        ]
    )


def _contender(
    store: Store, run: RunView, letter: str, searches: dict[str, tuple[Context, str]]
) -> Contender:
    search = run if run.is_search else find_search(store, run.tags[names.PARENT])
    trial = best_trial(store, search) if run.is_search else run
    if search.run_id not in searches:
        searches[search.run_id] = (
            read_context(store, search),
            _folds_digest(store, search),
        )
    context, folds_digest = searches[search.run_id]
    view = read_trial_view(store, trial, context)
    refit = refit_of(search, [trial])
    is_refitted = refit.is_of(trial)
    return Contender(
        label=f"{letter} ({search.experiment} trial {view.number})",
        run_id=trial.run_id,
        experiment=search.experiment,
        search_id=search.run_id,
        view=view,
        diagnosis=diagnose_trial(view),
        data_digest=search.tags.get(names.DATA_DIGEST, ""),
        data_name=search.tags.get("ktune.data", ""),
        folds_digest=_digest_of_trial(search, trial, folds_digest),
        test=refit.trial_test,
        latency_ms=trial.metrics.get(
            LATENCY, search.metrics.get(LATENCY) if is_refitted else None
        ),
    )


def _digest_of_trial(search: RunView, trial: RunView, folds_digest: str) -> str:
    """Return the digest of the folds: of the search, or of a reshuffled trial."""
    is_reshuffled = search.params.get("reshuffle") == "True"
    return f"{folds_digest}/{trial.run_id}" if is_reshuffled else folds_digest


def _folds_digest(store: Store, search: RunView) -> str:
    """Hash the training and validation rows of each fold.

    The bytes of the file contain the time of writing, so they are not hashed.
    """
    try:
        content = read_run_file(store, search, names.FOLDS_FILE)
        arrays = read_arrays(content, names.FOLDS_FILE, search.run_id)
    except StoreError:
        return search.run_id  # unknown, so different from all others
    hasher = hashlib.sha256()
    rows = arrays["rows"]
    for name in sorted(arrays):
        if name.startswith(("train", "validation")):
            hasher.update(name.encode())
            hasher.update(rows[arrays[name]].astype("<i8").tobytes())
    return hasher.hexdigest()[:16]
