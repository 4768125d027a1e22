"""Views of trials and searches made from a few numbers, to test rules with."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ktune.data.dataset import Task
from ktune.diagnosis import Context, SearchView, TrialView
from ktune.metrics.scores import Objective
from ktune.trial import Failure, FoldResult, Trial, TrialResult, TrialState, Value

N_VALIDATION = 100
_COIN = float(np.log(2))


def classification_view(
    train: Sequence[float] | float,
    validation: Sequence[float] | float,
    *,
    n_folds: int = 5,
    n_validation: int = N_VALIDATION,
    values: Mapping[str, Value] | None = None,
    number: int = 0,
    **changes: Any,
) -> TrialView:
    """Return a trial with two even classes from its accuracies.

    Args:
        train: Accuracy on training rows: of every fold, or one for all.
        validation: Likewise on validation rows.
        n_folds: Of how many folds, where one number stands for all.
        n_validation: Rows in each.
        values: Hyperparameters.
        number: Of the trial.
        **changes: Fields of the `TrialResult` to replace.
    """
    validation = _by_fold(validation, n_folds)
    train = _by_fold(train, len(validation))
    folds = tuple(
        FoldResult(k, 4 * n_validation, n_validation, {"accuracy": v}, {"accuracy": t})
        for k, (t, v) in enumerate(zip(train, validation, strict=True))
    )
    right = round(float(np.mean(validation)) * n_validation * len(folds) / 2)
    wrong = n_validation * len(folds) // 2 - right
    result = TrialResult(
        TrialState.COMPLETE,
        score=float(np.mean(validation)),
        best_epoch=9,
        epochs=10,
        folds=folds,
        curves=descending_curves(float(np.mean(train)), len(folds)),
        confusion=((right, wrong), (wrong, right)),
    )
    context = Context(Objective("accuracy", "max"), Task.BINARY, ("no", "yes"))
    trial = Trial(number, values or {}, seed=1)
    return TrialView(trial, replace(result, **changes), context)


def regression_view(
    train: Sequence[float] | float,
    validation: Sequence[float] | float,
    *,
    n_folds: int = 5,
    n_validation: int = N_VALIDATION,
    **changes: Any,
) -> TrialView:
    """Return a trial of a regression from its R² on both sides."""
    validation = _by_fold(validation, n_folds)
    train = _by_fold(train, len(validation))
    folds = tuple(
        FoldResult(k, 4 * n_validation, n_validation, {"r2": v}, {"r2": t})
        for k, (t, v) in enumerate(zip(train, validation, strict=True))
    )
    curves = {
        f"{side}_r2": tuple(tuple(np.linspace(s / 2, s, 10)) for s in scores)
        for side, scores in (("train", train), ("val", validation))
    }
    result = TrialResult(
        TrialState.COMPLETE,
        score=float(np.mean(validation)),
        best_epoch=9,
        epochs=10,
        folds=folds,
        curves=curves,
    )
    context = Context(Objective("r2", "max"), Task.REGRESSION)
    return TrialView(Trial(0, {}, seed=1), replace(result, **changes), context)


def descending_curves(accuracy: float, n_folds: int) -> dict[str, Any]:
    """Return curves that descend quickly and then stay, on both sides alike."""
    end = _COIN * max(1.02 - accuracy, 0.02) * 2
    loss = tuple(end + (_COIN - end) * 0.3 ** np.arange(1, 11))
    same = tuple(loss for _ in range(n_folds))
    scores = tuple((accuracy,) * 10 for _ in range(n_folds))
    return {
        "train_log_loss": same,
        "val_log_loss": same,
        "train_accuracy": scores,
        "val_accuracy": scores,
    }


def with_curves(view: TrialView, **curves: Sequence[Sequence[float]]) -> TrialView:
    """Return a view with some curves replaced, values[fold][epoch]."""
    new = {name: tuple(tuple(f) for f in folds) for name, folds in curves.items()}
    result = replace(view.result, curves={**view.result.curves, **new})
    return replace(view, result=result)


def with_context(view: TrialView, **changes: Any) -> TrialView:
    """Return a view with some fields of its context replaced."""
    return replace(view, context=replace(view.context, **changes))


def with_predictions(
    view: TrialView, prediction: np.ndarray, target: np.ndarray, fold: np.ndarray
) -> TrialView:
    """Return a view with out-of-fold predictions."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        row=np.arange(len(target)),
        fold=fold,
        target=target,
        prediction=prediction,
    )
    return replace(view, result=replace(view.result, out_of_fold=buffer.getvalue()))


def failed_view(message: str = "the loss is nan", traceback: str = "") -> TrialView:
    """Return a trial that failed."""
    failure = Failure("TrialFailed", message, traceback)
    result = TrialResult(TrialState.FAILED, failure=failure)
    context = Context(Objective("accuracy", "max"), Task.BINARY)
    return TrialView(Trial(0, {}, seed=1), result, context)


def search_view(trials: Sequence[TrialView], **changes: Any) -> SearchView:
    """Return a search of trials that share the first one's context."""
    return replace(SearchView(trials, trials[0].context), **changes)


def _by_fold(scores: Sequence[float] | float, n_folds: int) -> list[float]:
    if isinstance(scores, int | float):
        return [float(scores)] * n_folds
    return list(scores)


def search_report(n_trials: int = 20, *, name: str = "made up", **changes: Any) -> Any:
    """Return the report of a search that never ran, with trials of all verdicts.

    Args:
        n_trials: How many trials; the last one failed.
        name: Of the experiment, its data and its first class.
        **changes: Fields of the `SearchReport` to replace.
    """
    from datetime import datetime

    from ktune.diagnosis import diagnose_search
    from ktune.metrics.intervals import Estimate
    from ktune.report.importances import measure_importances
    from ktune.report.view import SearchReport

    rng = np.random.default_rng(0)
    trials = [_random_trial(rng, number, name) for number in range(n_trials - 1)]
    trials.append(replace(failed_view(name), trial=Trial(n_trials - 1, {}, seed=1)))
    view = search_view(trials, test={"accuracy": Estimate(0.9, 0.85, 0.94)})
    report = SearchReport(
        name=name,
        run_id="0123456789abcdef0123456789abcdef",
        started=datetime(2026, 1, 2, 3, 4),
        seconds=300.0,
        ended_because="all trials done",
        search=view,
        diagnosis=diagnose_search(view),
        run_ids={v.number: f"{v.number:032x}" for v in trials},
        settings={"engine": "optuna", "cv": "5"},
        command=f"ktune search {name}.py",
        data_name=name,
        data_digest="feedc0de",
        n_rows=500,
        n_test_rows=100,
        importances=measure_importances(view),
    )
    return replace(report, **changes)


def _random_trial(rng: np.random.Generator, number: int, name: str) -> TrialView:
    """Return a trial between chance and perfect, with a gap of some size."""
    validation = 0.5 + 0.48 * float(rng.beta(3, 1))
    train = min(validation + float(rng.choice([0.01, 0.02, 0.3])), 1.0)
    values: dict[str, Value] = {
        "learning_rate": float(10 ** rng.uniform(-4, -1)),
        "units": int(rng.integers(8, 256)),
        f"kind of {name}": str(rng.choice(["relu", "tanh", f"{name} gelu"])),
    }
    noise = rng.normal(0, 0.01, 5)
    view = classification_view(
        train, np.clip(validation + noise, 0, 1).tolist(), values=values, number=number
    )
    target = rng.integers(0, 2, 500)
    prediction = np.clip(0.5 + (target - 0.5) * rng.normal(0.8, 0.5, 500), 0.01, 0.99)
    view = with_predictions(view, prediction, target, np.repeat(np.arange(5), 100))
    result = replace(view.result, seconds=2.0, n_parameters=1000 * (number + 1))
    return with_context(replace(view, result=result), class_names=(name, "yes"))
