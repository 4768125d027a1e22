"""Records for MLflow as plain values, built by pure functions.

This module does not import MLflow; `ktune.tracking.store` writes the records.
"""

import csv
import io
import itertools
import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ktune.metrics.scores import LATENCY, N_PARAMETERS
from ktune.tracking import names
from ktune.trial import Failure, FoldResult, Trial, TrialResult, TrialState, Value
from ktune.utils.text import one_line, shortened

_FORBIDDEN_IN_KEYS = re.compile(r"[^\w\-. /:]", re.ASCII)
_MAX_KEY_LENGTH = 240  # MLflow refuses keys of more than 250
_MAX_TAG_LENGTH = 5000  # the limit of older MLflow servers
_MAX_PARAM_LENGTH = 6000  # MLflow cuts longer values with a warning
_MAX_SHOWN = 60  # characters of a name or value in a line of values

RUN_STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAILED: "FAILED",
}


@dataclass(frozen=True)
class MetricPoint:
    """One value of a metric."""

    key: str
    value: float
    step: int = 0


@dataclass(frozen=True)
class RunRecord:
    """Content of one MLflow run.

    Attributes:
        name: Shown in the UI.
        status: FINISHED, KILLED, FAILED or RUNNING.
        tags: Tag name to text.
        params: Parameter name to text.
        metrics: All points, curves included.
        files: Path below the run's artifacts to content.
        seconds: Duration of the run.
    """

    name: str
    status: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[MetricPoint] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0


def trial_record(
    trial: Trial, result: TrialResult, class_names: Sequence[str] = ()
) -> RunRecord:
    """Return the child run of a trial.

    Args:
        trial: The trial.
        result: Its result.
        class_names: Labels of the confusion matrix.
    """
    return RunRecord(
        name=f"trial {trial.number}",
        status=RUN_STATUS[result.state],
        tags={
            names.KIND: names.TRIAL,
            names.TRIAL_NUMBER: str(trial.number),
            names.STATE: result.state.value,
            "ktune.trainer": result.trainer,
            **_values_tag(trial.values),
            **_batch_tags(result),
            **_failure_tags(result.failure),
        },
        params=params_of(trial.values),
        metrics=tuple(finite(_trial_metrics(result))),
        files=_trial_files(trial, result, class_names),
        seconds=result.seconds,
    )


def params_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return MLflow params: allowed keys, and values short enough to be kept."""
    keys = _keys_of(list(values))
    return {
        keys[name]: str(value)[:_MAX_PARAM_LENGTH] for name, value in values.items()
    }


def best_metrics(result: TrialResult) -> list[MetricPoint]:
    """Return the ``best_*`` metrics of a search, copied from its best trial."""
    points = _fold_means(result.folds)
    return list(finite(MetricPoint(f"best_{p.key}", p.value) for p in points))


def finite(points: Iterable[MetricPoint]) -> Iterable[MetricPoint]:
    """Drop undefined metrics, because MLflow shows NaN and inf as numbers."""
    return (point for point in points if math.isfinite(point.value))


def trial_as_json(trial: Trial, result: TrialResult) -> dict[str, Any]:
    """Return a trial and its result as JSON content, without predictions."""
    fields = asdict(result)
    fields.pop("out_of_fold")
    return {"trial": asdict(trial), "result": fields}


def trial_from_json(record: Mapping[str, Any]) -> tuple[Trial, TrialResult]:
    """Return the trial and the result that `trial_as_json` encoded."""
    fields = dict(record["result"])
    fields["state"] = TrialState(fields["state"])
    fields["folds"] = tuple(_fold_from_json(fold) for fold in fields["folds"])
    fields["curves"] = {
        name: tuple(tuple(map(_number, fold)) for fold in folds)
        for name, folds in fields["curves"].items()
    }
    fields["scores"] = tuple(fields.get("scores", ()))
    fields["confusion"] = tuple(tuple(row) for row in fields["confusion"])
    if fields["failure"] is not None:
        fields["failure"] = Failure(**fields["failure"])
    return Trial(**record["trial"]), TrialResult(**fields)


def as_json_bytes(content: Any) -> bytes:
    """Return JSON text; NaN becomes null, as standard JSON has no NaN."""
    return json.dumps(_without_nan(content), default=str).encode()


def values_text(values: Mapping[str, Value]) -> str:
    """Return values on one line for display; long names and values are cut."""
    pairs = (
        f"{shortened(name, _MAX_SHOWN)}={shortened(short(value), _MAX_SHOWN)}"
        for name, value in values.items()
    )
    return one_line(", ".join(pairs))


def short(value: Value) -> str:
    """Return a value as short text.

    Example:
        >>> short(0.00123456), short(64), short("adam")
        ('0.001235', '64', 'adam')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _keys_of(param_names: Sequence[str]) -> dict[str, str]:
    """Return a unique key per name; a name that MLflow allows is its own key."""
    keys = {name: name for name in param_names if _as_key(name) == name}
    used = set(keys)
    for name in param_names:
        if name not in keys:
            key = _as_key(name)
            numbered = (f"{key}_{number}" for number in itertools.count(2))
            unused = (k for k in itertools.chain([key], numbered) if k not in used)
            keys[name] = next(unused)
            used.add(keys[name])
    return keys


def _as_key(name: str) -> str:
    """Replace characters and path segments ("..", "") that MLflow refuses."""
    parts = _FORBIDDEN_IN_KEYS.sub("_", name[:_MAX_KEY_LENGTH]).split("/")
    return "/".join(
        part if part.strip(".") else "_" * max(1, len(part)) for part in parts
    )


def _fold_from_json(record: Mapping[str, Any]) -> FoldResult:
    sides = {
        side: {name: _number(value) for name, value in record[side].items()}
        for side in ("validation", "train")
    }
    return FoldResult(**{**record, **sides})


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _failure_tags(failure: Failure | None) -> dict[str, str]:
    if failure is None:
        return {}
    return {names.FAILURE: failure.reason[:5000]}


def _values_tag(values: Mapping[str, Value]) -> dict[str, str]:
    """Return the tag that keeps values with their types; none if it is too long."""
    text = as_json_bytes(dict(values)).decode()
    return {names.VALUES: text} if len(text) <= _MAX_TAG_LENGTH else {}


def _batch_tags(result: TrialResult) -> dict[str, str]:
    return {} if result.batch_size is None else {names.BATCH: str(result.batch_size)}


def _trial_metrics(result: TrialResult) -> Iterable[MetricPoint]:
    yield MetricPoint("fit_seconds", result.seconds)
    yield MetricPoint("epochs", result.epochs)
    if result.best_epoch is not None:
        yield MetricPoint("best_epoch", result.best_epoch)
    if result.n_parameters is not None:
        yield MetricPoint(N_PARAMETERS, result.n_parameters)
    if result.latency_ms is not None:
        yield MetricPoint(LATENCY, result.latency_ms)
    yield from _fold_means(result.folds)
    for fold in result.folds:
        for name, value in fold.validation.items():
            yield MetricPoint(f"fold{fold.index}_val_{name}", value)
    for name, folds in result.curves.items():
        for epoch, values in enumerate(zip(*folds, strict=True)):
            yield MetricPoint(f"epoch_{name}", statistics.fmean(values), epoch)


def _fold_means(folds: Sequence[FoldResult]) -> Iterable[MetricPoint]:
    if not folds:
        return
    for name in folds[0].validation:
        values = [fold.validation[name] for fold in folds]
        yield MetricPoint(f"val_{name}", statistics.fmean(values))
        if len(values) > 1:
            yield MetricPoint(f"val_{name}_std", _deviation(values))
        train = [fold.train[name] for fold in folds]
        yield MetricPoint(f"train_{name}", statistics.fmean(train))


def _deviation(values: Sequence[float]) -> float:
    # Python 3.11's stdev raises AttributeError for NaN.
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _trial_files(
    trial: Trial, result: TrialResult, class_names: Sequence[str]
) -> dict[str, bytes]:
    files = {names.TRIAL_FILE: as_json_bytes(trial_as_json(trial, result))}
    if result.out_of_fold:
        files[names.OUT_OF_FOLD_FILE] = result.out_of_fold
    if result.confusion:
        files[names.CONFUSION_FILE] = _confusion_csv(result.confusion, class_names)
    if result.summary:
        files[names.SUMMARY_FILE] = result.summary.encode()
    if result.failure is not None and result.failure.traceback:
        files[names.TRACEBACK_FILE] = result.failure.traceback.encode()
    return files


def _confusion_csv(
    counts: Sequence[Sequence[int]], class_names: Sequence[str]
) -> bytes:
    labels = list(class_names) or [str(index) for index in range(len(counts))]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["true \\ predicted", *labels])
    writer.writerows([label, *row] for label, row in zip(labels, counts, strict=True))
    return text.getvalue().encode()


def _without_nan(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {str(key): _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(item) for item in content]
    return content
