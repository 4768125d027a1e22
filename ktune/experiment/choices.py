"""The names an experiment may give: engines, samplers, pruners and other choices."""

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
"""The racing ones (`wilcoxon` is short for `racing:wilcoxon`) train a trial's folds one
after another and compare between folds; the others compare after every epoch. What
they do: `ktune.searchers.pruners`, `ktune.searchers.racing`."""

PICKS = ("one_standard_error", "balanced", "best")
"""How one trial is chosen from a Pareto front; see `ktune.metrics.ranking`."""

SINGLE_OBJECTIVE_SAMPLERS = ("cmaes", "bayesian", "hyperband")
"""Samplers that can only make one thing as good as possible."""

TRAINERS = ("auto", "graph", "keras_fit")
EXECUTORS = ("auto", "serial", "processes", "ray")
STRATIFY = ("auto", "bins", "none")
OUTPUTS = ("auto", "probabilities", "logits", "scores")
TASKS = ("binary", "multiclass", "multilabel", "regression")
