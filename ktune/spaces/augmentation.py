"""Augmentation: images changed at random while training, never when predicting.

| name | what is searched | largest |
|---|---|---|
| `crop` | pixels added on each side, then cropped off at random | 4 |
| `flip` | none, horizontal, horizontal_and_vertical | |
| `rotation` | turn, as a share of a full circle | 0.1 |
| `zoom` | change of size | 0.2 |
| `contrast` | change of contrast | 0.3 |
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

FLIPS = ("none", "horizontal", "horizontal_and_vertical")


def augment(hp: Any, x: Any, names: Sequence[str]) -> Any:
    """Ask ``hp`` whether to augment, and how; return the images as changed.

    Strengths are asked for only if the answer to ``augment`` is yes. By default it is
    no, so that trial 0 is a fast plain model.

    Args:
        hp: A `keras_tuner.HyperParameters`.
        x: Images, shape (batch, height, width, channels), values from 0 to 1.
        names: Which of the augmentations of this module to search.
    """
    if not names:
        return x
    is_on = hp.Boolean("augment", default=False)
    with hp.conditional_scope("augment", [True]):
        if is_on:
            for name in names:
                x = AUGMENTATIONS[name](hp, x)
    return x


def _crop(hp: Any, x: Any) -> Any:
    import keras

    pixels = hp.Int("crop", 0, 4, default=2)
    if pixels == 0:
        return x
    height, width = x.shape[1:3]
    # A shift by whole pixels over a black border is a random crop of the padded image.
    # Keras's RandomCrop takes one crop for a whole batch and, when predicting, hands
    # on the padded image as it is, which no longer fits the model (Keras 3.15).
    return keras.layers.RandomTranslation(
        pixels / height, pixels / width, fill_mode="constant", interpolation="nearest"
    )(x)


def _flip(hp: Any, x: Any) -> Any:
    import keras

    mode = hp.Choice("flip", list(FLIPS), default="horizontal")
    return x if mode == "none" else keras.layers.RandomFlip(mode)(x)


def _rotation(hp: Any, x: Any) -> Any:
    import keras

    share = hp.Float("rotation", 0.0, 0.1, default=0.03)
    if share == 0:
        return x
    return keras.layers.RandomRotation(share, fill_mode="nearest")(x)


def _zoom(hp: Any, x: Any) -> Any:
    import keras

    share = hp.Float("zoom", 0.0, 0.2, default=0.1)
    return x if share == 0 else keras.layers.RandomZoom(share, fill_mode="nearest")(x)


def _contrast(hp: Any, x: Any) -> Any:
    import keras

    factor = hp.Float("contrast", 0.0, 0.3, default=0.1)
    if factor == 0:
        return x
    return keras.layers.RandomContrast(factor, value_range=(0.0, 1.0))(x)


AUGMENTATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "crop": _crop,
    "flip": _flip,
    "rotation": _rotation,
    "zoom": _zoom,
    "contrast": _contrast,
}
