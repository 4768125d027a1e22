"""Valid names in an experiment: engines, samplers, pruners and other choices."""

from collections.abc import Mapping

SAMPLERS: Mapping[str, tuple[str, ...]] = {
    "optuna": ("tpe", "gp", "cmaes", "nsga2", "random", "grid", "qmc"),
    "kerastuner": ("bayesian", "random", "grid", "hyperband"),
}
"""Samplers by engine; the first is the default."""

PRUNERS = (
    "none",
    "median",
    "percentile",
    "asha",
    "hyperband",
    "wilcoxon",
    "racing",
    "racing:aggressive",
    "racing:wilcoxon",
    "auto",
)
"""The racing pruners (`wilcoxon` is short for `racing:wilcoxon`) train the folds of a
trial sequentially and compare after every fold; the others compare after every epoch.
See `ktune.searchers.pruners` and `ktune.searchers.racing`."""

PICKS = ("one_standard_error", "balanced", "best")
"""Rules that select a trial from the Pareto front; see `ktune.metrics.ranking`."""

FINALS = ("auto", "single", "average")
"""Final models of a search; see `ktune.tuner.final_model`."""

SINGLE_OBJECTIVE_SAMPLERS = ("cmaes", "bayesian", "hyperband")
"""Samplers that support only one objective."""

TRAINERS = ("auto", "graph", "keras_fit")
EXECUTORS = ("auto", "serial", "processes", "ray")
STRATIFY = ("auto", "bins", "none")
OUTPUTS = ("auto", "probabilities", "logits", "scores")
TASKS = ("binary", "multiclass", "multilabel", "regression", "custom")
