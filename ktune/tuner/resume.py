"""Resume an interrupted search: find it, and check that its settings are unchanged."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ktune.errors import (
    ClusterLost,
    ExperimentError,
    ServerUnavailable,
    StoreError,
    UnknownReference,
)
from ktune.experiment.experiment import Experiment
from ktune.metrics.ranking import Goal
from ktune.tracking import names
from ktune.tracking.artifacts import read_arrays, read_file, read_json
from ktune.tracking.delivery import write_pending
from ktune.tracking.reader import (
    RunView,
    find_search,
    list_searches,
    list_trials,
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
"""Settings that must not change, as existing trials depend on them."""

_DEFAULTS_BEFORE = {"outputs": "auto"}
"""Values of settings for searches that are older than these settings."""

_MAY_CHANGE = (
    "trials",
    "timeout",
    "trial_timeout",
    "final",
    "jobs",
    "executor",
    "trainer",
)
"""Recorded settings that may change; so may all options of a search."""


@dataclass(frozen=True)
class Past:
    """The state of an interrupted search.

    Attributes:
        search: Its parent run.
        results: Its finished trials with their results, by number.
        options: Its options, which the resumed search inherits.
    """

    search: RunView
    results: Mapping[int, tuple[Trial, TrialResult]]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_finished(self) -> int:
        """Number of complete or pruned trials."""
        results = (result for _, result in self.results.values())
        return sum(result.state is not TrialState.FAILED for result in results)

    def find_result(self, number: int) -> TrialResult | None:
        """Return the result of a trial, or None."""
        return self.results[number][1] if number in self.results else None


def interrupted_search(store: Store, experiment: str) -> RunView | None:
    """Return the newest search of an experiment if it was interrupted."""
    searches = list_searches(store, experiment)
    if not searches or searches[0].status == "FINISHED":
        return None
    journal = study_file(store, searches[0].run_id)
    is_resumable = journal.exists() and not is_driven(journal)
    return searches[0] if is_resumable else None


def find_past(
    store: Store, experiment: str, reference: str | bool, *, is_shared: bool = False
) -> Past:
    """Return the search to resume.

    Args:
        store: The store of the search.
        experiment: Name of the experiment.
        reference: Reference of the search; True for the newest of the experiment.
        is_shared: Whether its study is in a database.

    Raises:
        UnknownReference: The search does not exist, or is of another experiment.
        ExperimentError: Its study is in a database and ``is_shared`` is not set, or
            the reverse.
        StoreError: Its study is damaged, or does not match its trials.
    """
    if isinstance(reference, str):
        search = find_search(store, reference)
    else:
        searches = list_searches(store, experiment)
        if not searches:
            raise UnknownReference(f"there is no search of {experiment!r} to resume")
        search = searches[0]
    storage = search.tags.get(names.STORAGE)
    has_study = storage or study_file(store, search.run_id).exists()
    if search.experiment != experiment or not has_study:
        raise UnknownReference(
            f"search {search.run_id[:8]} of {search.experiment!r} cannot be resumed: "
            f"it is not of {experiment!r}, or its study is missing here"
        )
    _check_storage(search, storage, is_shared)
    runs = list_trials(store, search)
    if not is_shared:
        _check_study(study_file(store, search.run_id), search, runs)
    record = read_json(store, search, names.SEARCH_FILE)
    return Past(
        search,
        results={run.number: read_trial(store, run) for run in runs},
        options=record.get("changes") or {},
    )


def _check_storage(search: RunView, storage: str | None, is_shared: bool) -> None:
    if storage and not is_shared:
        raise ExperimentError(
            f"the study of search {search.run_id[:8]} is in a database. To resume it, "
            f"add: --storage {storage}"
        )
    if is_shared and not storage:
        raise ExperimentError(
            f"search {search.run_id[:8]} has no study in a database: it was started "
            "without --storage, and must be resumed without it. For several drivers "
            "start a new search with --storage"
        )


def _check_study(study: Path, search: RunView, trials: list[RunView]) -> None:
    """Check that the study has every trial in MLflow; it would repeat missing ones."""
    # Imported here, because it imports Optuna.
    from ktune.searchers.trial_store import open_trial_store

    records = open_trial_store(study, search.experiment).records()
    lost = {run.number for run in trials} - {record.trial.number for record in records}
    if lost:
        raise StoreError(
            f"search {search.run_id[:8]} cannot be resumed: its study {study} lacks "
            f"{len(lost)} of the {len(trials)} trials in MLflow, trial {min(lost)} "
            "first. It was truncated, or is of another search. Restore it from a copy, "
            f"or start a new search with the best values: --warm-start "
            f"{search.run_id[:8]}"
        )


def inherit_options(
    recorded: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options of the resumed search: the recorded ones with changes.

    The address of a cluster is dropped if the executor changes.
    """
    merged = {**recorded, **changes}
    if "executor" in changes and "ray_address" not in changes:
        merged.pop("ray_address", None)
    return merged


def check_unchanged(store: Store, search: RunView, checked: Preflight) -> None:
    """Check that new trials will be comparable with the existing ones.

    Raises:
        ExperimentError: Data, folds, objective or settings differ.
    """
    experiment = checked.context.experiment
    now = {name: getattr(experiment, name) for name in _FIXED}
    now |= {"sampler": experiment.chosen_sampler, "pruner": experiment.chosen_pruner}
    now = params_of(now)
    now["objective"] = _goal_text(checked.context.goal)
    now["data"] = checked.dataset.digest
    before = {
        name: search.params.get(name, _DEFAULTS_BEFORE.get(name, "")) for name in _FIXED
    }
    before["objective"] = _goal_text(search.goal)
    before["data"] = search.tags.get(names.DATA_DIGEST, "")
    problems = [
        f"{name} was {before[name]}, is {now[name]}"
        for name in now
        # The text of some objects contains a memory address.
        if before[name] != now[name] and " at 0x" not in now[name]
    ]
    problems = problems or _fold_problems(store, search, checked)
    if problems:
        raise ExperimentError(
            f"search {search.run_id[:8]} cannot be resumed with other settings, since "
            f"its trials would not be comparable: {'; '.join(problems)}. Set them "
            "back, or start a new search without --resume"
        )


def changed_settings(
    past: Past, experiment: Experiment, options: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a line with the allowed changes of settings, if there are any.

    Args:
        past: The search to resume.
        experiment: The present experiment.
        options: Fields replaced by options now.
    """
    now = {name: getattr(experiment, name) for name in _MAY_CHANGE}
    now["executor"] = experiment.chosen_executor
    # An older search has not recorded all of them.
    now = {k: v for k, v in params_of(now).items() if k in past.search.params}
    pairs = {name: (past.search.params[name], value) for name, value in now.items()}
    for name, value in options.items():
        before = past.options.get(name)
        if name not in (*now, *_FIXED) and name in past.options and before != value:
            pairs[name] = (str(before), str(value))
    changed = [f"{n} was {a}, is {b}" for n, (a, b) in pairs.items() if a != b]
    if changed:
        yield (
            f"search {past.search.run_id[:8]} is resumed with other settings: "
            f"{'; '.join(changed)}"
        )


def _goal_text(goal: Goal) -> str:
    return ", ".join(f"{o.metric} ({o.direction})" for o in goal.objectives)


def _fold_problems(store: Store, search: RunView, checked: Preflight) -> list[str]:
    now = folds_arrays(checked.context.partition)
    content = read_file(store, search.run_id, names.FOLDS_FILE)
    before = read_arrays(content, names.FOLDS_FILE, search.run_id)
    differing = [
        name
        for name in sorted({*now, *before})
        if name not in now
        or name not in before
        or not np.array_equal(now[name], before[name])
    ]
    if not differing:
        return []
    return [f"the rows of {', '.join(differing[:4])} differ (`cv` or `test_size`)"]


def write_all_pending(store: Store, notify: Callable[[str], None]) -> None:
    """Write the records that earlier searches queued for their server.

    Args:
        store: The store; records for other stores stay queued.
        notify: Called with a message for each written file.
    """
    for waiting in _pending_files(store):
        write_pending(store, waiting)
        notify(
            f"{waiting.n_records} records of search {waiting.owner.search[:8]} were "
            f"queued for {store.location.shown}; they are written now."
        )


def n_pending_records(store: Store) -> int:
    """Return the number of records that ended searches have queued for this store."""
    return sum(waiting.n_records for waiting in _pending_files(store))


def _pending_files(store: Store) -> list[PendingRecords]:
    return [
        waiting
        for waiting in list_pending(store.location.folder)
        if waiting.owner.server == store.location.shown and not waiting.is_driven
    ]


@contextlib.contextmanager
def advise_on_resume(
    store: Store, logger: SearchLogger, command: str, notify: Callable[[str], None]
) -> Iterator[None]:
    """Add the number of queued records and a remedy to an error of the block.

    Args:
        store: The store of the search.
        logger: Its logger.
        command: Command that resumes the search.
        notify: Called with the advice if the search ends for another reason.

    Raises:
        ServerUnavailable: The server is unavailable; the message has the advice.
        ClusterLost: The Ray cluster is lost; the message has the command.
        KeyboardInterrupt: Ctrl-C outside the trials; the message has the command.
    """
    try:
        with store_errors(store.location):
            yield
    except ServerUnavailable as error:
        raise ServerUnavailable(
            f"{error}. {_pending_message(logger, command)}"
        ) from error
    except ClusterLost as error:
        raise ClusterLost(
            f"{error}. Finished trials are recorded; to continue, start the cluster "
            f"again and run: {command}"
        ) from error
    except KeyboardInterrupt as error:
        advice = f"Finished trials are recorded; to continue: {command}"
        if logger.n_pending:
            advice = _pending_message(logger, command)
        raise KeyboardInterrupt(f"interrupted. {advice}") from error
    except BaseException:
        if logger.n_pending:
            notify(_pending_message(logger, command))
        raise
    finally:
        logger.close()


def _pending_message(logger: SearchLogger, command: str) -> str:
    count = logger.n_pending
    queued = f"{count} records are queued here, so nothing is lost. " if count else ""
    return (
        f"{queued}When the server is back, this command writes them, refits and "
        f"registers the best model and makes the report: {command} (`ktune sync` only "
        "writes)"
    )
