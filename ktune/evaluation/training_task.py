"""Make the task of a trainer: the folds of a trial, or the one fold of its refit."""

from collections.abc import Sequence
from typing import Any

from ktune.data.preprocessing import PreparedFold, prepare_folds
from ktune.data.resampling import resample_fold
from ktune.evaluation.context import SearchContext
from ktune.evaluation.costs import check_memory
from ktune.evaluation.model_builder import ModelBuilder
from ktune.protocols import TrainingTask
from ktune.trainers.learning_rate_schedule import require_one_schedule
from ktune.trial import Trial
from ktune.utils.seeds import derive_seed


def task_of_trial(context: SearchContext, trial: Trial) -> TrainingTask:
    """Return the task of all folds of a trial."""
    folds = folds_of(context, trial)
    return make_task(context.builder, trial, folds, fold_seeds(trial, folds))


def make_task(
    builder: ModelBuilder,
    trial: Trial,
    folds: Sequence[PreparedFold],
    seeds: Sequence[int],
) -> TrainingTask:
    """Return the task of a trial on some folds; building a model checks the memory.

    Args:
        builder: Makes models and fit settings from values.
        trial: The values to train with.
        folds: The folds, not resampled yet.
        seeds: The seed of every fold.
    """
    fit_settings = builder.settings_of(trial)
    available = builder.memory()

    def build() -> Any:
        model = builder.model(trial.values)
        check_memory(model, task, available, jobs=builder.experiment.jobs or 1)
        require_one_schedule(fit_settings, model)
        return model

    task = TrainingTask(
        build=build,
        folds=[
            resample_fold(
                fold,
                fit_settings.resample,
                seed=seed,
                is_classification=builder.data.task.is_classification,
            )
            for fold, seed in zip(folds, seeds, strict=True)
        ],
        settings=fit_settings,
        seeds=seeds,
        data=builder.data,
        fit=builder.fit(trial.values),
        model_metrics=builder.model_metrics,
        label=f"trial-{trial.number}",
    )
    return task


def folds_of(context: SearchContext, trial: Trial) -> tuple[PreparedFold, ...]:
    """Return the folds of a trial: those of the search, or its own if reshuffled.

    Source:
        Nagler et al., Reshuffling Resampling Splits Can Improve Generalization of
        Hyperparameter Optimization, NeurIPS 2024, arXiv 2405.15393.
    """
    experiment = context.experiment
    if not experiment.reshuffle:
        return context.folds
    seed = derive_seed(experiment.seed, "reshuffle", trial.number)
    partition = context.reshuffled(seed)
    return prepare_folds(partition, experiment.preprocess, context.kind)


def fold_seeds(trial: Trial, folds: Sequence[PreparedFold]) -> tuple[int, ...]:
    """Return the seed of every fold: it depends on trial and fold alone."""
    return tuple(derive_seed(trial.seed, fold.index) for fold in folds)
