"""Remedies: parameters of the user's builder and the direction of their change.

Parameters are recognised by words in their names, which the builder chooses freely.
If no name matches, the remedy suggests an addition to the builder.
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
    """Return a remedy against overfitting."""
    parts = [
        _named(view, _DROPOUT, "raise")
        or "add dropout (`hp.Float('dropout', 0.0, 0.5)`)",
        _named(view, _SIZE, "lower"),
        _named(view, _PENALTY, "raise") or "add weight decay (optimizer 'adamw')",
    ]
    remedy = _sentence([part for part in parts if part])
    return f"{remedy} {_more_data(view)}"


def strengthen(view: TrialView) -> str:
    """Return a remedy against underfitting."""
    parts = [
        _named(view, _SIZE, "raise") or "use more or wider layers",
        _named(view, _DROPOUT, "lower"),
        _named(view, _PENALTY, "lower"),
        _named(view, _RATE, "raise"),
    ]
    remedy = _sentence([part for part in parts if part])
    return f"{remedy} If no size helps, the features may not determine the target."


def train_longer(view: TrialView) -> str:
    """Return a remedy against training that ended too early."""
    epochs = 2 * max(view.result.epochs, 5)
    rate = _named(view, _RATE, "raise") or "raise the learning rate"
    return f"Allow more epochs (`--epochs {epochs}`), or {rate}."


def calm(view: TrialView) -> str:
    """Return a remedy against unstable training."""
    rate = _named(view, _RATE, "lower") or "lower the learning rate"
    return (
        f"{rate[0].upper()}{rate[1:]} by a factor of 3 to 10; also: a larger "
        "batch_size, or `clipnorm=1.0` in the optimizer. Narrow the range of the "
        "learning rate in the next search."
    )


def names_like(view: TrialView, words: Sequence[str]) -> list[str]:
    """Return the parameters of a trial with any of the words in their names."""
    values = view.trial.values
    return [name for name in values if _means(name, words)]


def show(value: Value) -> str:
    """Return a value as short text.

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
    """Return a remedy by more rows or by augmentation."""
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
    """Return "raise `dropout` (now 0.1)"; "" if no parameter has such a name."""
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
