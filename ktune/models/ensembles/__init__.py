"""Ensembles of a search's trials, chosen by their out-of-fold predictions.

| method | members | combined by | estimated on |
|---|---|---|---|
| greedy | up to five trials, each refitted | weighted mean | folds not used to choose |
| stacking | the best trials, each refitted | a linear model | folds not trained on |
| bagging | one trial's models, one per fold | mean | the untouched test rows alone |

Every method results in one Keras model: the members process the same preprocessed rows,
and built-in layers combine their outputs.
"""

from ktune.errors import ExperimentError
from ktune.utils.text import did_you_mean

METHODS = ("greedy", "stacking", "bagging")


def require_method(method: str) -> None:
    """Check the name of a method.

    Raises:
        ExperimentError: The method is unknown.
    """
    if method not in METHODS:
        raise ExperimentError(
            f"the method of an ensemble is one of {', '.join(METHODS)}; got {method!r}."
            + did_you_mean(method, METHODS)
        )
