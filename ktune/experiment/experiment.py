"""The experiment: model, data and settings of a search, validated as a whole."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ktune.errors import ExperimentError
from ktune.experiment.choices import (
    PICKS,
    SAMPLERS,
)
from ktune.experiment.validation import (
    as_one_message,
    parse_duration,
    problems_of_fields,
)
from ktune.metrics.objectives import is_single_objective
from ktune.utils.text import did_you_mean

_C = TypeVar("_C", bound=type)


def _explains_unknown_fields(cls: _C) -> _C:
    """Make the constructor suggest the nearest valid field for a misspelt one."""
    generated = cls.__init__  # type: ignore[misc]
    known = [field.name for field in fields(cls)]

    @functools.wraps(generated)
    def __init__(self: Any, **arguments: Any) -> None:
        problems = [
            f"an experiment has no field {name!r}. Known: {', '.join(known)}."
            + did_you_mean(name, known)
            for name in arguments
            if name not in known
        ]
        problems += [
            f"`{name}` is missing"
            for name in ("name", "data", "build")
            if name not in arguments
        ]
        valid = {k: v for k, v in arguments.items() if k in known}
        if problems:
            problems += problems_of_fields(valid)
            raise ExperimentError(as_one_message(problems))
        generated(self, **valid)

    cls.__init__ = __init__  # type: ignore[misc]
    return cls


@_explains_unknown_fields
@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """A family of models, its data, and the settings of the search.

    Args:
        name: Name of the MLflow experiment and of the registered model.
        data: Arrays ``(X, y)`` or ``(X, y, X_test, y_test)``, a source of
            `ktune.data`, or a function returning any of these.
        build: ``build(hp)`` or ``build(hp, data)`` returning a Keras model, or a
            `keras_tuner.HyperModel`. ``hp`` is a `keras_tuner.HyperParameters`,
            ``data`` a `ktune.data.dataset.DataDescription`.
        fit: Fields of `FitSettings` as a dict, or a function of ``hp``.
        objective: The metric to optimise: a scikit-learn scorer name, ``"loss"``,
            Keras's ``"val_accuracy"`` style, a `keras_tuner.Objective`, or a metric the
            model is compiled with and its direction, ``("val_my_metric", "max")``.
            None: accuracy for classes, macro F1 for several labels, RMSE for
            regression. A list searches for a Pareto front:
            the first is a metric and also selects the best epoch; the others are
            metrics, "n_parameters" or "latency_ms".
        pick: Rule that selects the registered trial from the Pareto front, see
            `ktune.metrics.ranking`. None: "one_standard_error".
        final: The model to register. "single": the best trial, refitted. "average":
            one Keras model that is a mean over refits of up to five trials, or of the
            best one. "auto": a mean over trials if it is better than the best trial by
            more than noise and keeps the limits, see `ktune.tuner.final_model`.
        max_parameters: Maximum number of weights; larger models are not trained.
        max_latency_ms: Maximum time to predict one row; slower models are not
            trained, see `ktune.evaluation.latency`.
        trials: Number of finished trials that ends the search.
        cv: Number of folds, or any scikit-learn splitter.
        test_size: Share of rows held out as the test set, before all other steps; it
            is used once. Data with a test set of their own use that. 0: no test set.
        stratify: Stratification of an int ``cv`` and of the test set. "auto": by
            class; "bins": for a regression also by tenths of the target; "none": not
            stratified.
        reshuffle: New folds for every trial instead of the same for all (arXiv
            2405.15393): no trial is selected for suiting one split, but trials can no
            longer be compared fold by fold.
        engine: "optuna" or "kerastuner".
        sampler: Sampler that proposes values; see `SAMPLERS`. None: the first of the
            engine.
        pruner: Pruner that stops unpromising trials; see `PRUNERS`. "auto": selected
            by model, data and folds, see `ktune.tuner.pruner_choice`.
        timeout: Wall time from the first trial to the registered model: seconds, or
            text such as "1h30m". The time of refits is forecast and kept free.
        trial_timeout: Wall time for one trial. The trial stops at its next epoch; with
            ``jobs`` above 1 its process is killed if the epoch takes too long.
        seed: Seed from which all random numbers derive.
        preprocess: None, "auto", or a scikit-learn transformer; fitted on the
            training rows of each fold.
        metrics: Further scorer names of scikit-learn to record.
        retry_half_batch: Whether a trial that runs out of memory is retried once with
            half its batch size.
        threshold: Decision threshold of a binary classification, for the test scores.
            "tune": the best on the out-of-fold predictions of the best trial. None:
            0.5. The model returns probabilities in any case.
        task: "binary", "multiclass", "multilabel", "regression" or "custom". None:
            inferred from the targets. A custom task has targets of any form and is
            scored by the loss and metrics that the model is compiled with.
        scale_target: Whether the targets of a regression are standardised by mean and
            deviation of the training rows of each fold. Scores and predictions of the
            registered model are in the original unit. None: only if ``build`` returns
            an uncompiled model.
        outputs: Outputs of a classifier: "probabilities", "logits", or "scores" from -1
            to 1. "auto": inferred from the activation of the last layer and the loss.
        trainer: "auto", "graph" or "keras_fit".
        executor: Where trials run: "serial", "processes" or "ray". "auto": on Ray if
            there is a ``ray_address``, in this process for one job, else in processes.
        jobs: Number of trials that are evaluated at the same time. None: one; on Ray,
            as many as fit into the cluster when the search starts.
        ray_address: Head of a Ray cluster, ``HOST:PORT``, or "auto" for the cluster
            of this machine. None: RAY_ADDRESS, else a cluster is started here.
        cpus: CPUs of a trial on Ray, and the number of its threads; may be a fraction.
        gpus: GPUs of a trial on Ray; with 0.5 two trials share one.
        start_from: Values of the first trials, as dicts; missing parameters keep
            their defaults.
        fit_overrides: Settings that replace those of ``fit`` (``--epochs``).
        deterministic: Whether a repeated trial gives identical numbers, on GPUs too;
            False (``--fast``) lets operations sum in any order.
        license: License of the model, for its card, for instance "Apache-2.0".

    Raises:
        ExperimentError: One message with all problems.

    Example:
        >>> Experiment(name="x", data=([[0.0]], [0]), build=print, cv=1, trails=3)
        Traceback (most recent call last):
            ...
        ktune.errors.ExperimentError: 2 problems:
          - an experiment has no field 'trails'. Known: name, data, build, ...
    """

    name: str
    data: Any
    build: Any
    fit: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] | None = None
    objective: Any = None
    pick: str | None = None
    final: str = "auto"
    max_parameters: int | None = None
    max_latency_ms: float | None = None
    cv: Any = 5
    test_size: float = 0.2
    stratify: str = "auto"
    reshuffle: bool = False
    engine: str = "optuna"
    sampler: str | None = None
    pruner: str = "median"
    trials: int = 50
    timeout: float | str | None = None
    trial_timeout: float | str | None = None
    seed: int = 0
    preprocess: Any = "auto"
    metrics: Sequence[str] = ()
    retry_half_batch: bool = False
    threshold: float | str | None = None
    task: str | None = None
    scale_target: bool | None = None
    outputs: str = "auto"
    trainer: str = "auto"
    executor: str = "auto"
    jobs: int | None = None
    ray_address: str | None = None
    cpus: float = 1
    gpus: float = 0
    start_from: Sequence[Mapping[str, Any]] = ()
    fit_overrides: Mapping[str, Any] | None = None
    deterministic: bool = True
    license: str | None = None

    def __post_init__(self) -> None:
        problems = problems_of_fields(
            {field.name: getattr(self, field.name) for field in fields(self)}
        )
        if problems:
            raise ExperimentError(as_one_message(problems))

    @property
    def chosen_sampler(self) -> str:
        """The sampler; by default the first of the engine."""
        return self.sampler or SAMPLERS[self.engine][0]

    @property
    def objectives(self) -> tuple[Any, ...]:
        """The objectives as given, each one; empty: the default of the task."""
        if self.objective is None:
            return ()
        given = self.objective
        return (given,) if is_single_objective(given) else tuple(given)

    @property
    def chosen_executor(self) -> str:
        """The executor that evaluates trials."""
        if self.executor != "auto":
            return self.executor
        if self.ray_address is not None:
            return "ray"
        return "serial" if self.jobs in (None, 1) else "processes"

    @property
    def chosen_pruner(self) -> str:
        """The pruner; "none" for several objectives, which have no common curve."""
        return "none" if len(self.objectives) > 1 else self.pruner

    @property
    def races(self) -> bool:
        """Whether the folds of a trial are trained sequentially."""
        return self.chosen_pruner.startswith(("racing", "wilcoxon"))

    @property
    def chosen_pick(self) -> str:
        """The rule that selects the registered trial."""
        if len(self.objectives) < 2:
            return "best"
        return self.pick or PICKS[0]

    @property
    def timeout_seconds(self) -> float | None:
        """The wall time of a search in seconds; None: no limit."""
        return None if self.timeout is None else parse_duration(self.timeout)

    @property
    def trial_timeout_seconds(self) -> float | None:
        """The wall time for one trial in seconds; None: no limit."""
        timeout = self.trial_timeout
        return None if timeout is None else parse_duration(timeout, "trial_timeout")


def override(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """Return the experiment with some fields replaced, validated as a whole.

    Args:
        experiment: The experiment with all other fields.
        changes: Field name to value; ``fit.NAME`` replaces one setting of ``fit``.

    Raises:
        ExperimentError: One message with all problems.
    """
    of_fit = {
        name.removeprefix("fit."): value
        for name, value in changes.items()
        if name.startswith("fit.")
    }
    of_experiment = {k: v for k, v in changes.items() if not k.startswith("fit.")}
    if of_fit:
        of_experiment["fit_overrides"] = {**(experiment.fit_overrides or {}), **of_fit}
    if of_experiment.get("engine", experiment.engine) != experiment.engine:
        of_experiment.setdefault("sampler", None)
    before = {
        field.name: getattr(experiment, field.name) for field in fields(Experiment)
    }
    return Experiment(**{**before, **of_experiment})
