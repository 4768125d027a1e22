"""Remedies in the user's own terms: which of their parameters, in which direction.

Parameters are recognised by the words in their names, since a builder may call them
what it likes. Where none fits, the remedy says what to add to the builder.
"""

from collections.abc import Sequence

from ktune.diagnosis.view import TrialView
from ktune.trial import Value

_DROPOUT = ("dropout", "drop_rate")
_PENALTY = ("l2", "l1", "weight_decay", "regular", "penalty")
_SIZE = ("unit", "width", "hidden", "filter", "neuron", "layer", "depth", "block")
_RATE = ("learning_rate", "lr")
_IMAGES = ("filter", "kernel_size", "conv")
_AUGMENT = "augment"


def regularise(view: TrialView) -> str:
    """Say how to make the model fit its training rows less closely."""
    parts = [
        _named(view, _DROPOUT, "raise")
        or "add dropout (`hp.Float('dropout', 0.0, 0.5)`)",
        _named(view, _SIZE, "lower"),
        _named(view, _PENALTY, "raise") or "add weight decay (optimizer 'adamw')",
    ]
    advice = _sentence([part for part in parts if part])
    return f"{advice} {_more_data(view)}"


def strengthen(view: TrialView) -> str:
    """Say how to let the model fit more."""
    parts = [
        _named(view, _SIZE, "raise") or "use more or wider layers",
        _named(view, _DROPOUT, "lower"),
        _named(view, _PENALTY, "lower"),
        _named(view, _RATE, "raise"),
    ]
    advice = _sentence([part for part in parts if part])
    return f"{advice} If no size helps, the features may not tell the target."


def train_longer(view: TrialView) -> str:
    """Say how to get further in training."""
    epochs = 2 * max(view.result.epochs, 5)
    rate = _named(view, _RATE, "raise") or "raise the learning rate"
    return f"Allow more epochs (`--epochs {epochs}`), or {rate}."


def calm(view: TrialView) -> str:
    """Say how to make training steadier."""
    rate = _named(view, _RATE, "lower") or "lower the learning rate"
    return (
        f"{rate[0].upper()}{rate[1:]} by a factor of 3 to 10; also: a larger "
        "batch_size, or `clipnorm=1.0` in the optimizer. Narrow the range of the "
        "learning rate in the next search."
    )


def names_like(view: TrialView, words: Sequence[str]) -> list[str]:
    """Return the trial's parameters with any of the words in their names."""
    values = view.trial.values
    return [name for name in values if _means(name, words)]


def show(value: Value) -> str:
    """Return a value in few characters.

    Example:
        >>> show(0.00123456), show("adam")
        ('0.001235', 'adam')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _means(name: str, words: Sequence[str]) -> bool:
    parts = name.lower().replace("/", "_").split("_")
    return any(
        word in parts if len(word) <= 2 else word in name.lower() for word in words
    )


def _more_data(view: TrialView) -> str:
    """Say how to get more to learn from, which helps most."""
    values = view.trial.values
    if values.get(_AUGMENT) is False:
        return "More training rows help most, or augmentation (`augment`, now False)."
    if names_like(view, _IMAGES) and _AUGMENT not in values:
        return (
            "More training rows help most, or augmentation: "
            "`ktune.spaces.cnn(augmentation=('crop', 'flip', 'rotation'))`, or Keras's "
            "random layers in your builder."
        )
    return "More training rows help most."


def _named(view: TrialView, words: Sequence[str], verb: str) -> str:
    """Return "raise `dropout` (now 0.1)"; "" when no parameter has such a name."""
    numbers = [
        name
        for name in names_like(view, words)
        if isinstance(view.trial.values[name], int | float)
    ]
    if not numbers:
        return ""
    shown = ", ".join(f"`{n}` (now {show(view.trial.values[n])})" for n in numbers[:3])
    return f"{verb} {shown}"


def _sentence(parts: Sequence[str]) -> str:
    text = ", ".join(parts[:-1]) + " or " + parts[-1] if len(parts) > 1 else parts[0]
    return f"{text[0].upper()}{text[1:]}."
