"""The experiment: everything a search needs to know, checked at once."""

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
from ktune.utils.text import did_you_mean

_C = TypeVar("_C", bound=type)


def _explains_unknown_fields(cls: _C) -> _C:
    """Make the constructor answer a misspelt field with the nearest valid one."""
    generated = cls.__init__  # type: ignore[misc]
    known = [field.name for field in fields(cls)]

    @functools.wraps(generated)
    def __init__(self: Any, **given: Any) -> None:
        problems = [
            f"an experiment has no field {name!r}. Known: {', '.join(known)}."
            + did_you_mean(name, known)
            for name in given
            if name not in known
        ]
        problems += [
            f"`{name}` is missing"
            for name in ("name", "data", "build")
            if name not in given
        ]
        valid = {k: v for k, v in given.items() if k in known}
        if problems:
            problems += problems_of_fields(valid)
            raise ExperimentError(as_one_message(problems))
        generated(self, **valid)

    cls.__init__ = __init__  # type: ignore[misc]
    return cls


@_explains_unknown_fields
@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """A model family, its data, and how to search and judge it.

    Args:
        name: Names the MLflow experiment and the registered model.
        data: Arrays ``(X, y)`` or ``(X, y, X_test, y_test)``, a source of
            `ktune.data`, or a function returning any of these.
        build: ``build(hp)`` or ``build(hp, data)`` returning a Keras model, or a
            `keras_tuner.HyperModel`. ``hp`` is a `keras_tuner.HyperParameters`,
            ``data`` a `ktune.data.dataset.DataDescription`.
        fit: Fields of `FitSettings` as a dict, or a function of ``hp``.
        objective: What to make as good as possible: a scikit-learn metric name,
            ``"loss"``, or Keras's ``"val_accuracy"`` style. None: accuracy for
            classes, macro F1 for several labels, RMSE for numbers. A list asks for a
            Pareto front: the first is a metric and also decides the best epoch; the
            others are metrics, "n_parameters" or "latency_ms".
        pick: Of several objectives: how the trial to register is chosen from the
            Pareto front, see `ktune.metrics.ranking`. None: "one_standard_error".
        max_parameters: Models with more weights are not trained.
        max_latency_ms: Models that take longer to predict one row are not trained;
            see `ktune.evaluation.latency`.
        trials: How many finished trials end the search.
        cv: Number of folds, or any scikit-learn splitter.
        test_size: Share of rows held out before anything else and touched once.
            The data's own test set is used instead, if they have one. 0: none.
        stratify: Of an int ``cv`` and of the test set. "auto": every class has its
            share everywhere; "bins": every tenth of a regression's target as well;
            "none": neither.
        reshuffle: New folds for every trial instead of the same for all (arXiv
            2405.15393): no trial is chosen for suiting one split, but trials are no
            longer compared fold by fold.
        engine: "optuna" or "kerastuner".
        sampler: How values are proposed; see `SAMPLERS`. None: the engine's first.
        pruner: How hopeless trials are stopped; see `PRUNERS`. "auto": by the shape
            of the work, see `ktune.tuner.pruner_choice`.
        timeout: Wall time for all trials: seconds, or text such as "1h30m".
        trial_timeout: The same for one trial: it is stopped at its next epoch, and with
            ``jobs`` above 1 its process is ended if no epoch comes.
        seed: Everything random derives from it.
        preprocess: None, "auto", or a scikit-learn transformer; fitted on the
            training rows of each fold.
        metrics: Further scorer names of scikit-learn to record.
        retry_half_batch: Whether a trial that memory did not suffice for is tried once
            more with half its batch size.
        threshold: Of binary classes: from which probability on a row is called
            positive in the test scores. "tune": the best on out-of-fold predictions of
            the best trial. None: 0.5. The model returns probabilities all the same.
        task: "binary", "multiclass", "multilabel" or "regression" where the targets
            do not tell. None: read it off the targets.
        scale_target: Whether the model of a regression learns its targets as 0 ± 1,
            by mean and deviation of each fold's training rows. Scores and the
            registered model speak in the targets' own units all the same. None: where
            ``build`` leaves it to ktune to compile the model.
        outputs: Of a classifier: "probabilities", "logits", or "scores" from -1 to 1.
            "auto": by the last layer's activation and the loss.
        trainer: "auto", "graph" or "keras_fit".
        executor: Where trials run: "serial", "processes" or "ray". "auto": on Ray if
            there is a ``ray_address``, in this process for one job, else in processes.
        jobs: How many trials are evaluated at the same time. None: one; on Ray, as many
            as the cluster has room for when the search starts.
        ray_address: Head of a Ray cluster, ``HOST:PORT``, or "auto" for the one that
            this machine is part of. None: RAY_ADDRESS, else one is started here.
        cpus: Of a trial on Ray, which computes in so many threads; may be a fraction.
        gpus: Of a trial on Ray; 0.5 lets two trials share one.
        start_from: Values of trials to begin with, as dicts; what they do not say keeps
            its default.
        fit_overrides: Settings that replace those of ``fit`` (``--epochs``).
        deterministic: Whether the same trial gives the very same numbers again, on
            GPUs too; False (``--fast``) lets operations add up in any order.
        license: Of the model, for its card, for instance "Apache-2.0".

    Raises:
        ExperimentError: With every problem found, in one message.

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
    objective: str | Sequence[str] | None = None
    pick: str | None = None
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
        """The sampler, the engine's first one where none is named."""
        return self.sampler or SAMPLERS[self.engine][0]

    @property
    def objectives(self) -> tuple[str, ...]:
        """What is asked for, as named; empty: the default of the task."""
        if self.objective is None:
            return ()
        given = self.objective
        return (given,) if isinstance(given, str) else tuple(given)

    @property
    def chosen_executor(self) -> str:
        """Where trials are evaluated."""
        if self.executor != "auto":
            return self.executor
        if self.ray_address is not None:
            return "ray"
        return "serial" if self.jobs in (None, 1) else "processes"

    @property
    def chosen_pruner(self) -> str:
        """The pruner; none for several objectives, which no curve stands for."""
        return "none" if len(self.objectives) > 1 else self.pruner

    @property
    def races(self) -> bool:
        """Whether the folds of a trial are trained one after another."""
        return self.chosen_pruner.startswith(("racing", "wilcoxon"))

    @property
    def chosen_pick(self) -> str:
        """How the trial to register is chosen."""
        if len(self.objectives) < 2:
            return "best"
        return self.pick or PICKS[0]

    @property
    def timeout_seconds(self) -> float | None:
        """The wall time for all trials in seconds; None: no limit."""
        return None if self.timeout is None else parse_duration(self.timeout)

    @property
    def trial_timeout_seconds(self) -> float | None:
        """The wall time for one trial in seconds; None: no limit."""
        given = self.trial_timeout
        return None if given is None else parse_duration(given, "trial_timeout")


def override(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """Return the experiment with some fields replaced, checked as a whole.

    Args:
        experiment: Where the other fields come from.
        changes: Field name to value; ``fit.NAME`` replaces one setting of ``fit``.

    Raises:
        ExperimentError: With every problem found, in one message.
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
