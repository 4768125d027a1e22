"""Log a search to MLflow: a parent run, and one child run per trial."""

import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ktune.data.folds import Partition
from ktune.experiment.environment import Environment
from ktune.experiment.experiment import Experiment
from ktune.metrics.ranking import Goal
from ktune.tracking import names
from ktune.tracking.artifacts import read_folder
from ktune.tracking.delivery import Delivery
from ktune.tracking.final_record import FinalRecord, final_tag
from ktune.tracking.reader import (
    RunView,
    find_search,
    list_trials,
    list_unfinished,
    read_trial,
)
from ktune.tracking.records import (
    MetricPoint,
    RunRecord,
    as_json_bytes,
    best_metrics,
    finite,
    params_of,
    short,
    trial_record,
)
from ktune.tracking.store import Store
from ktune.tracking.waiting import Owner
from ktune.trial import Trial, TrialResult
from ktune.utils.text import count_of

_RECORDED_FIELDS = (
    "engine",
    "max_parameters",
    "max_latency_ms",
    "final",
    "trials",
    "timeout",
    "trial_timeout",
    "seed",
    "test_size",
    "scale_target",
    "outputs",
    "stratify",
    "reshuffle",
    "trainer",
    "jobs",
    "deterministic",
    "license",
)


@dataclass(frozen=True, eq=False)
class SearchStart:
    """Facts known at the start of a search.

    Attributes:
        experiment: The experiment.
        goal: The objectives of its trials.
        data: Name, digest, task and sizes of the data.
        partition: Its split.
        class_names: In the order of class numbers.
        environment: Machine and versions.
        sources: Path to content of the experiment file and its local modules.
        entry: File and variable to load the experiment from, and their folder.
        git: ``commit`` and ``diff``; empty outside a repository.
        command: Command that repeats the search.
        changes: Fields replaced by options.
        storage: Address of the database of its study, without a password; empty if
            the study is a file.
        is_smoke_test: Whether it only tries whether the experiment runs.
    """

    experiment: Experiment
    goal: Goal
    data: Mapping[str, Any]
    partition: Partition
    class_names: Sequence[str]
    environment: Environment
    sources: Mapping[str, bytes]
    git: Mapping[str, str]
    command: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    entry: Mapping[str, Any] = field(default_factory=dict)
    storage: str = ""
    is_smoke_test: bool = False


class SearchLogger:
    """Writes a search and its trials, and maps trial numbers to run ids.

    Trials and the end of the search are queued while the server is unavailable. All
    other methods need the server; call `flush` first.

    Args:
        store: The store to write to.
        start: Facts known at the start of the search.
        past: The search to resume; None for a new one.
        notify: Called with a message when the connection is lost and restored.
    """

    def __init__(
        self,
        store: Store,
        start: SearchStart,
        past: RunView | None = None,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._class_names = start.class_names
        self.trial_runs: dict[int, str] = {}
        if past is None:
            self._experiment_id = store.experiment_id(start.experiment.name)
            self._open(start)
        else:
            self._reopen(past, start)
        owner = Owner(self.run_id, start.experiment.name, store.location.shown)
        self._delivery = Delivery(store, owner, notify)
        self._has_pending = False

    def _open(self, start: SearchStart) -> None:
        store = self._store
        self.run_id = store.start_run(self._experiment_id, start_record(start))
        store.log_dataset(
            self.run_id,
            name=str(start.data["name"]),
            digest=str(start.data["digest"]),
            profile=start.data,
        )

    def _reopen(self, past: RunView, start: SearchStart) -> None:
        self.run_id, self._experiment_id = past.run_id, past.experiment_id
        self._store.reopen(past.run_id)
        # An older search has none; from now on its trials are ranked by the same rule.
        self._store.set_tags(past.run_id, {names.TIE_BREAKER: start.goal.tie_breaker})
        self._find_trial_runs(past)
        if not start.storage:  # other drivers may be writing
            for run in list_unfinished(self._store, past):
                self._store.mark_interrupted(run.run_id)
        self._log_changed_sources(start)

    def _find_trial_runs(self, search: RunView) -> None:
        trials = list_trials(self._store, search)
        self.trial_runs.update({run.number: run.run_id for run in trials})
        self._store.clock.advance_to(max(run.latest for run in [search, *trials]))

    def recover(self, number: int) -> TrialResult | None:
        """Return the result that a dead driver recorded for a trial, if complete.

        An unfinished run of the trial is marked as interrupted.
        """
        search = find_search(self._store, self.run_id)
        for run in list_unfinished(self._store, search):
            if run.number == number:
                self._store.mark_interrupted(run.run_id)
        for run in list_trials(self._store, search):
            if run.number == number:
                return read_trial(self._store, run)[1]
        return None

    def import_trials(self, known: Collection[int]) -> list[tuple[Trial, TrialResult]]:
        """Return the trials recorded by other drivers, without the ``known`` ones."""
        search = find_search(self._store, self.run_id)
        runs = [r for r in list_trials(self._store, search) if r.number not in known]
        self.trial_runs.update({run.number: run.run_id for run in runs})
        return [read_trial(self._store, run) for run in runs]

    def _log_changed_sources(self, start: SearchStart) -> None:
        """Log the sources of a resumed search if they have changed."""
        before = read_folder(self._store, self.run_id, names.SOURCE_FOLDER)
        if not start.sources or start.sources == before:
            return
        folder = f"{names.LATER_SOURCES}{1 + max(self.trial_runs, default=-1)}"
        files = {f"{folder}/{name}": text for name, text in start.sources.items()}
        files[f"{folder}.json"] = as_json_bytes(dict(start.entry))
        self._store.update_run(self.run_id, RunRecord("", "RUNNING", files=files))

    @property
    def experiment_id(self) -> str:
        """Id of the MLflow experiment."""
        return self._experiment_id

    @property
    def n_pending(self) -> int:
        """Number of records queued for the server of the store."""
        return self._delivery.n_pending

    def flush(self) -> None:
        """Write all queued records, so that they can be read from the store.

        Raises:
            ServerUnavailable: The server does not answer.
        """
        self._delivery.flush()
        if self._has_pending:
            self._find_trial_runs(find_search(self._store, self.run_id))
            self._has_pending = False

    def close(self) -> None:
        """Stop writing, and leave queued records to `ktune sync`."""
        self._delivery.close()

    def track(
        self,
        trial: Trial,
        result: TrialResult,
        verdict: str,
        diagnosis: Mapping[str, Any],
    ) -> None:
        """Write the complete child run of a trial with its diagnosis.

        If the server is unavailable the run is queued, and `flush` adds it to
        `trial_runs`.
        """
        record = trial_record(trial, result, self._class_names)
        record = replace(
            record,
            tags={**record.tags, names.VERDICT: verdict},
            files={**record.files, names.DIAGNOSIS_FILE: as_json_bytes(diagnosis)},
        )
        run_id = self._delivery.add_run(self._experiment_id, self.run_id, record)
        if run_id is None:
            self._has_pending = True
        else:
            self.trial_runs[trial.number] = run_id

    def log_best(
        self, trial: Trial, result: TrialResult, extra: Sequence[MetricPoint] = ()
    ) -> None:
        """Copy the scores of the refitted trial to the parent run.

        The tags of an earlier refit are cleared before and the new ones written after
        the scores, so that a crash never leaves the scores of one trial beside the tags
        of another.
        """
        cleared = (
            names.BEST_TRIAL,
            names.BEST_RUN,
            names.MODEL_VERSION,
            names.GATE,
            names.FINAL,
        )
        self._store.set_tags(self.run_id, dict.fromkeys(cleared, ""))
        points = [*best_metrics(result), *finite(extra)]
        record = RunRecord(name="", status="RUNNING", metrics=points)
        self._store.update_run(self.run_id, record)
        self._store.set_tags(
            self.run_id,
            {
                names.BEST_TRIAL: str(trial.number),
                names.BEST_RUN: self.trial_runs[trial.number],
                names.NOTE: description(trial, result, record.metrics),
            },
        )

    def log_front(self, numbers: Collection[int]) -> None:
        """Mark the trials on the Pareto front."""
        for number, run_id in self.trial_runs.items():
            is_member = str(number in numbers).lower()
            self._store.set_tags(run_id, {names.PARETO_FRONT: is_member})

    def log_references(self, references: Mapping[str, Any], objective: str) -> None:
        """Log the scores of simple models as a file and as ``baseline_*`` metrics."""
        points = [
            MetricPoint(f"baseline_{model}_{objective}", scores[objective])
            for model, scores in references["baselines"].items()
            if objective in scores
        ]
        files = {names.REFERENCES_FILE: as_json_bytes(references)}
        record = RunRecord(name="", status="RUNNING", metrics=points, files=files)
        self._delivery.update_run(self.run_id, record)

    def log_verdict(self, number: int, verdict: str) -> None:
        """Replace the verdict of a trial after the final diagnosis."""
        self._store.set_tags(self.trial_runs[number], {names.VERDICT: verdict})

    def log_diagnosis(self, verdict: str, diagnosis: Mapping[str, Any]) -> None:
        """Log the verdict on the best trial and the findings about the search."""
        self._store.set_tags(self.run_id, {names.VERDICT: verdict})
        self.add_file(names.DIAGNOSIS_FILE, as_json_bytes(diagnosis))

    def add_file(self, name: str, content: bytes) -> None:
        """Add an artifact to the parent run."""
        record = RunRecord(name="", status="RUNNING", files={name: content})
        self._store.update_run(self.run_id, record)

    def log_model(self, version: str, gate: str) -> None:
        """Tag the parent run with its model version and the outcome of the gate."""
        self._store.set_tags(
            self.run_id, {names.MODEL_VERSION: version, names.GATE: gate}
        )

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log metrics of the parent run."""
        points = [MetricPoint(name, value) for name, value in metrics.items()]
        self._store.update_run(self.run_id, RunRecord("", "RUNNING", metrics=points))

    def log_final(self, record: FinalRecord) -> None:
        """Tag the parent run with the record of its final model."""
        self._store.set_tags(self.run_id, final_tag(record))

    def finish(self, *, status: str, reason: str) -> None:
        """End the parent run."""
        record = RunRecord(name="", status=status, tags={names.REASON: reason})
        self._delivery.update_run(self.run_id, record)


def start_record(start: SearchStart) -> RunRecord:
    """Return the initial content of the parent run."""
    experiment = start.experiment
    return RunRecord(
        name=f"search of {experiment.name}",
        status="RUNNING",
        tags={
            names.KIND: names.SEARCH,
            names.EXPERIMENT: experiment.name,
            **({names.SMOKE_TEST: "true"} if start.is_smoke_test else {}),
            **_goal_tags(start.goal),
            "ktune.version": start.environment.ktune,
            "ktune.data": str(start.data["name"]),
            names.DATA_DIGEST: str(start.data["digest"]),
            "ktune.command": start.command,
            **({names.STORAGE: start.storage} if start.storage else {}),
            **(
                {"mlflow.source.git.commit": c}
                if (c := start.git.get("commit"))
                else {}
            ),
        },
        params=params_of(_search_params(start)),
        files=_search_files(start),
    )


def description(
    trial: Trial, result: TrialResult, points: Sequence[MetricPoint]
) -> str:
    """Return the description of a search in MLflow's page, as Markdown."""
    values = "".join(f"| {n} | {short(v)} |\n" for n, v in trial.values.items())
    test_scores = _test_scores(points, "single_test_") or _test_scores(points, "test_")
    scores = "".join(
        f"| {name} | {result.mean(name):.4f} | {value:.4f} |\n"
        for name, value in test_scores.items()
    )
    return (
        f"Best: trial {trial.number}, score {result.score:.4f} over "
        f"{len(result.folds)} folds, "
        f"{count_of((result.best_epoch or 0) + 1, 'epoch')}.\n\n"
        f"| parameter | value |\n|---|---|\n{values}"
        + (f"\n| metric | folds | test |\n|---|---|---|\n{scores}" if scores else "")
    )


def _test_scores(points: Sequence[MetricPoint], prefix: str) -> dict[str, float]:
    left_out = ("_low", "_high", "_at_0.5")
    return {
        point.key.removeprefix(prefix): point.value
        for point in points
        if point.key.startswith(prefix) and not point.key.endswith(left_out)
    }


def _goal_tags(goal: Goal) -> dict[str, str]:
    tags = {
        names.OBJECTIVE: goal.first.metric,
        names.DIRECTION: goal.first.direction,
    }
    if goal.is_single:
        return {**tags, names.TIE_BREAKER: goal.tie_breaker}
    objectives = ", ".join(f"{o.metric} {o.direction}" for o in goal.objectives)
    return {**tags, names.OBJECTIVES: objectives, names.PICK: goal.pick}


def _search_params(start: SearchStart) -> dict[str, Any]:
    experiment = start.experiment
    return {
        **{name: getattr(experiment, name) for name in _RECORDED_FIELDS},
        "sampler": experiment.chosen_sampler,
        "pruner": experiment.chosen_pruner,
        "executor": experiment.chosen_executor,
        "objective": ", ".join(o.metric for o in start.goal.objectives),
        "cv": experiment.cv,
        "preprocess": experiment.preprocess,
        "data": start.data["name"],
        "n_rows": start.data["n_rows"],
        "n_test_rows": start.data["n_test_rows"],
        **_row_weights(start),
    }


def _row_weights(start: SearchStart) -> dict[str, str]:
    weights = start.data.get("row_weights", "")
    return {"row_weights": weights} if weights else {}


def _search_files(start: SearchStart) -> dict[str, bytes]:
    files = {
        names.SEARCH_FILE: as_json_bytes(
            {
                "params": _search_params(start),
                "data": dict(start.data),
                "class_names": list(start.class_names),
                "command": start.command,
                "changes": _plain(start.changes),
                "changes_left_out": sorted({*start.changes} - {*_plain(start.changes)}),
                "entry": dict(start.entry),
                "git_commit": start.git.get("commit"),
            }
        ),
        names.ENVIRONMENT_FILE: as_json_bytes(start.environment.as_dict()),
        names.REQUIREMENTS_FILE: start.environment.requirements().encode(),
        names.FOLDS_FILE: _folds_file(start.partition),
    }
    for name, content in start.sources.items():
        files[f"{names.SOURCE_FOLDER}/{name}"] = content
    if start.git.get("diff"):
        files[names.GIT_DIFF_FILE] = start.git["diff"].encode()
    return files


def _plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Drop values that JSON cannot represent; resuming needs them again."""

    def is_plain(value: Any) -> bool:
        value = list(value) if isinstance(value, tuple) else value
        try:
            return bool(json.loads(json.dumps(value)) == value)
        except (TypeError, ValueError):
            return False

    return {name: value for name, value in changes.items() if is_plain(value)}


def folds_arrays(partition: Partition) -> dict[str, np.ndarray]:
    """Return positions: ``rows``, ``test_rows``, ``train<k>``, ``validation<k>``."""
    arrays = {"rows": partition.rows.astype(np.int64)}
    if partition.test_rows is not None:
        arrays["test_rows"] = partition.test_rows.astype(np.int64)
    for fold in partition.folds:
        arrays[f"train{fold.index}"] = fold.train.astype(np.int32)
        arrays[f"validation{fold.index}"] = fold.validation.astype(np.int32)
    return arrays


def _folds_file(partition: Partition) -> bytes:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**folds_arrays(partition)}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
