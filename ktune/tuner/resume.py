"""Go on with a search that was interrupted: which one, and whether it is the same."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ktune.errors import (
    ExperimentError,
    ServerUnavailable,
    StoreError,
    UnknownReference,
)
from ktune.experiment.experiment import Experiment
from ktune.metrics.ranking import Goal
from ktune.tracking import names
from ktune.tracking.delivery import write_pending
from ktune.tracking.reader import (
    RunView,
    find_search,
    list_searches,
    list_trials,
    read_file,
    read_trial,
    study_file,
)
from ktune.tracking.records import params_of
from ktune.tracking.search_logger import SearchLogger, folds_arrays
from ktune.tracking.store import Store, store_errors
from ktune.tracking.waiting import PendingRecords, list_pending
from ktune.trial import Trial, TrialResult, TrialState
from ktune.tuner.preflight import Preflight
from ktune.utils.file_lock import is_driven

_FIXED = (
    "engine",
    "sampler",
    "pruner",
    "seed",
    "preprocess",
    "scale_target",
    "outputs",
    "reshuffle",
    "max_parameters",
    "max_latency_ms",
)
"""Settings that have shaped the trials there are; others may change."""

_BEFORE_RECORDED = {"outputs": "auto"}
"""How searches behaved that were started before these settings existed."""

_TOLD = ("trials", "timeout", "trial_timeout", "jobs", "executor", "trainer")
"""Settings that may change and are recorded; so may any option a search is given."""


@dataclass(frozen=True)
class Past:
    """What an interrupted search has done so far.

    Attributes:
        search: Its parent run.
        results: Its finished trials with their results, by number.
        options: Those it was started with, to be taken over.
    """

    search: RunView
    results: Mapping[int, tuple[Trial, TrialResult]]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_finished(self) -> int:
        """Trials that are complete or pruned."""
        results = (result for _, result in self.results.values())
        return sum(result.state is not TrialState.FAILED for result in results)

    def find_result(self, number: int) -> TrialResult | None:
        """Return the result of a trial; None: it has none."""
        return self.results[number][1] if number in self.results else None


def interrupted_search(store: Store, experiment: str) -> RunView | None:
    """Return the newest search of an experiment if it was interrupted."""
    searches = list_searches(store, experiment)
    if not searches or searches[0].status == "FINISHED":
        return None
    journal = study_file(store, searches[0].run_id)
    is_there = journal.exists() and not is_driven(journal)
    return searches[0] if is_there else None


def find_past(
    store: Store, experiment: str, reference: str | bool, *, is_shared: bool = False
) -> Past:
    """Return the search to go on with.

    Args:
        store: Where it stands.
        experiment: Name of the experiment.
        reference: Of the search; True: the newest one of the experiment.
        is_shared: Whether its study is in a database.

    Raises:
        UnknownReference: There is none, or it is of another experiment.
        ExperimentError: Its study is in a database and should not be, or the other way
            round.
        StoreError: Its study is damaged, or not the one its trials were proposed by.
    """
    if isinstance(reference, str):
        search = find_search(store, reference)
    else:
        searches = list_searches(store, experiment)
        if not searches:
            raise UnknownReference(f"there is no search of {experiment!r} to resume")
        search = searches[0]
    storage = search.tags.get(names.STORAGE)
    is_there = storage or study_file(store, search.run_id).exists()
    if search.experiment != experiment or not is_there:
        raise UnknownReference(
            f"search {search.run_id[:8]} of {search.experiment!r} cannot be resumed: "
            f"it is not of {experiment!r}, or its study is not here"
        )
    _check_storage(search, storage, is_shared)
    runs = list_trials(store, search)
    if not is_shared:
        _check_study(study_file(store, search.run_id), search, runs)
    record = json.loads(read_file(store, search.run_id, names.SEARCH_FILE))
    return Past(
        search,
        results={run.number: read_trial(store, run) for run in runs},
        options=record.get("changes") or {},
    )


def _check_storage(search: RunView, storage: str | None, is_shared: bool) -> None:
    if storage and not is_shared:
        raise ExperimentError(
            f"the study of search {search.run_id[:8]} is in a database. To go on with "
            f"it, add: --storage {storage}"
        )
    if is_shared and not storage:
        raise ExperimentError(
            f"search {search.run_id[:8]} has no study in a database: it was started "
            "without --storage, and can be resumed only so. For several drivers start "
            "a new search with --storage"
        )


def _check_study(study: Path, search: RunView, trials: list[RunView]) -> None:
    """Check that the engine knows every trial in MLflow; it would repeat the others."""
    # Optuna and the rest are only needed by who resumes.
    from ktune.searchers.trial_store import open_trial_store

    entries = open_trial_store(study, search.experiment).records()
    lost = {run.number for run in trials} - {entry.trial.number for entry in entries}
    if lost:
        raise StoreError(
            f"search {search.run_id[:8]} cannot go on: its study {study} lacks "
            f"{len(lost)} of the {len(trials)} trials in MLflow, trial {min(lost)} "
            "first. It was cut off, or is of another search. Restore it from a copy, "
            f"or begin anew with the best values: --warm-start {search.run_id[:8]}"
        )


def inherit_options(
    recorded: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options to go on with: the recorded ones, but where changed now.

    The address of a cluster is of no use to another executor.
    """
    merged = {**recorded, **changes}
    if "executor" in changes and "ray_address" not in changes:
        merged.pop("ray_address", None)
    return merged


def check_unchanged(store: Store, search: RunView, checked: Preflight) -> None:
    """Check that new trials will compare with those there are.

    Raises:
        ExperimentError: Data, folds, objective or engine differ; naming them.
    """
    experiment = checked.context.experiment
    now = {name: getattr(experiment, name) for name in _FIXED}
    now |= {"sampler": experiment.chosen_sampler, "pruner": experiment.chosen_pruner}
    now = params_of(now)
    now["objective"] = _goal_text(checked.context.goal)
    now["data"] = checked.dataset.digest
    before = {
        name: search.params.get(name, _BEFORE_RECORDED.get(name, "")) for name in _FIXED
    }
    before["objective"] = _goal_text(search.goal)
    before["data"] = search.tags.get(names.DATA_DIGEST, "")
    problems = [
        f"{name} was {before[name]}, is {now[name]}"
        for name in now
        # Of some objects the text is an address in memory.
        if before[name] != now[name] and " at 0x" not in now[name]
    ]
    problems = problems or _fold_problems(store, search, checked)
    if problems:
        raise ExperimentError(
            f"search {search.run_id[:8]} cannot be resumed with other settings, since "
            f"its trials would not compare: {'; '.join(problems)}. Set them back, or "
            "start a new search without --resume"
        )


def tell_changes(
    past: Past, experiment: Experiment, options: Mapping[str, Any]
) -> Iterator[str]:
    """Say in a line what is allowed to differ from before, if anything does.

    Args:
        past: The search to go on with.
        experiment: As it is now.
        options: Fields of it that options replace now.
    """
    now = {name: getattr(experiment, name) for name in _TOLD}
    now["executor"] = experiment.chosen_executor
    # Of an older search not all of them are recorded.
    now = {k: v for k, v in params_of(now).items() if k in past.search.params}
    pairs = {name: (past.search.params[name], value) for name, value in now.items()}
    for name, value in options.items():
        before = past.options.get(name)
        if name not in (*now, *_FIXED) and name in past.options and before != value:
            pairs[name] = (str(before), str(value))
    changed = [f"{n} was {a}, is {b}" for n, (a, b) in pairs.items() if a != b]
    if changed:
        yield (
            f"search {past.search.run_id[:8]} goes on with other settings: "
            f"{'; '.join(changed)}"
        )


def _goal_text(goal: Goal) -> str:
    return ", ".join(f"{o.metric} ({o.direction})" for o in goal.objectives)


def _fold_problems(store: Store, search: RunView, checked: Preflight) -> list[str]:
    now = folds_arrays(checked.context.partition)
    content = read_file(store, search.run_id, names.FOLDS_FILE)
    with np.load(io.BytesIO(content), allow_pickle=False) as before:
        differing = [
            name
            for name in sorted({*now, *before.files})
            if name not in now
            or name not in before.files
            or not np.array_equal(now[name], before[name])
        ]
    if not differing:
        return []
    return [f"the rows of {', '.join(differing[:4])} differ (`cv` or `test_size`)"]


def write_all_waiting(store: Store, tell: Callable[[str], None]) -> None:
    """Write what earlier searches could not, for their server was away.

    Args:
        store: Where it belongs; what belongs to another one waits on.
        tell: Is told what was written.
    """
    for waiting in _left_waiting(store):
        write_pending(store, waiting)
        tell(
            f"{waiting.n_records} records of search {waiting.owner.search[:8]} have "
            f"waited for {store.location.shown}; they are written now."
        )


def n_left_waiting(store: Store) -> int:
    """How many records of searches that have ended wait for this store."""
    return sum(waiting.n_records for waiting in _left_waiting(store))


def _left_waiting(store: Store) -> list[PendingRecords]:
    return [
        waiting
        for waiting in list_pending(store.location.folder)
        if waiting.owner.server == store.location.shown and not waiting.is_driven
    ]


@contextlib.contextmanager
def telling_how_to_go_on(
    store: Store, logger: SearchLogger, command: str, tell: Callable[[str], None]
) -> Iterator[None]:
    """Say what waits, and what to do, when the server has gone away for good.

    Args:
        store: Where the search stands.
        logger: What it writes.
        command: Goes on with it.
        tell: Is told if the search has ended for another reason.

    Raises:
        ServerAway: In the words of this.
    """
    try:
        with store_errors(store.location):
            yield
    except ServerUnavailable as error:
        raise ServerUnavailable(f"{error}. {_what_waits(logger, command)}") from error
    except BaseException:
        if logger.n_pending:
            tell(_what_waits(logger, command))
        raise
    finally:
        logger.close()


def _what_waits(logger: SearchLogger, command: str) -> str:
    count = logger.n_pending
    waits = f"{count} records wait here, so nothing is lost. " if count else ""
    return (
        f"{waits}When the server is back, this writes what waits, refits and registers "
        f"the best model and makes the report: {command} (`ktune sync` only writes)"
    )
