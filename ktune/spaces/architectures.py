"""A space of several presets: the architecture as a hyperparameter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ktune.data.dataset import DataDescription
from ktune.errors import ExperimentError

Preset: TypeAlias = Callable[[Any, DataDescription], Any]
"""``preset(hp, data)`` returns a Keras model."""


@dataclass(frozen=True)
class Architecture:
    """One of several presets, chosen by the parameter ``architecture``.

    | parameter | values | default |
    |---|---|---|
    | `architecture` | the names of the presets | the first |
    | `NAME/…` | the parameters of preset NAME | its own |

    Only the parameters of the chosen preset are proposed and recorded.

    Attributes:
        presets: Pairs of a name and a preset, or any function ``build(hp, data)``.
        default: Name of the preset of trial 0; None: the first.
    """

    presets: tuple[tuple[str, Preset], ...]
    default: str | None = None

    def __post_init__(self) -> None:
        names = [name for name, _ in self.presets]
        if not names:
            raise ExperimentError(
                "architecture: name at least one preset, such as "
                "architecture(mlp=ktune.spaces.mlp(), cnn=ktune.spaces.cnn())"
            )
        for name, preset in self.presets:
            if not callable(preset):
                raise ExperimentError(
                    f"architecture: {name!r} must be a preset or a function "
                    f"build(hp, data); got {preset!r}"
                )
        if self.default is not None and self.default not in names:
            raise ExperimentError(
                f"architecture: `default` must be one of {', '.join(names)}; got "
                f"{self.default!r}"
            )

    def __call__(self, hp: Any, data: DataDescription) -> Any:
        """Return the model of the chosen preset."""
        names = [name for name, _ in self.presets]
        chosen = hp.Choice("architecture", names, default=self.default or names[0])
        model = None
        for name, preset in self.presets:
            # All scopes are entered, because KerasTuner's oracles learn the branches
            # of the space from them; only the chosen preset is built.
            with hp.conditional_scope("architecture", [name]):
                if chosen == name:
                    with hp.name_scope(name):
                        model = preset(hp, data)
        return model
