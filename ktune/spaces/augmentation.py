"""Augmentation: random changes of images in training, not in prediction.

| name | searched value | largest |
|---|---|---|
| `crop` | pixels of padding on each side, cropped at random | 4 |
| `flip` | none, horizontal, horizontal_and_vertical | |
| `rotation` | angle, as a share of a full circle | 0.1 |
| `zoom` | factor of size | 0.2 |
| `contrast` | factor of contrast | 0.3 |
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

FLIPS = ("none", "horizontal", "horizontal_and_vertical")


def augment(hp: Any, x: Any, names: Sequence[str]) -> Any:
    """Return images with augmentation layers, whose strengths ``hp`` proposes.

    Strengths are requested only if ``augment`` is True. Its default is False, so that
    trial 0 is a fast model.

    Args:
        hp: A `keras_tuner.HyperParameters`.
        x: Images, shape (batch, height, width, channels), values from 0 to 1.
        names: The augmentations of this module to search.
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
    # A shift by whole pixels with black borders is a random crop of the padded image.
    # Keras's RandomCrop applies one crop to the whole batch and, in prediction,
    # returns the padded image, which has another shape (Keras 3.15).
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
