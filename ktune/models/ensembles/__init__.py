"""Ensembles of a search's trials, chosen by their out-of-fold predictions.

| method | members | combined by | estimated on |
|---|---|---|---|
| greedy | trials, each refitted | weighted mean | folds that did not choose weights |
| stacking | the best trials, each refitted | a linear model | folds not trained on |
| bagging | one trial's models, one a fold | mean | the untouched test rows alone |

Whatever the method, one Keras model comes of it: members side by side on the same
preprocessed rows, then built-in layers that combine them.
"""

from ktune.errors import ExperimentError
from ktune.utils.text import did_you_mean

METHODS = ("greedy", "stacking", "bagging")


def require_method(method: str) -> None:
    """Check the name of a method.

    Raises:
        ExperimentError: There is none of that name.
    """
    if method not in METHODS:
        raise ExperimentError(
            f"an ensemble is made by one of {', '.join(METHODS)}; got {method!r}."
            + did_you_mean(method, METHODS)
        )
