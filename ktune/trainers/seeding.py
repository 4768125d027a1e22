"""Seed a build as Keras does, but keep compiled kernels."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np

BUILDS_BETWEEN_CLEARINGS = 100
"""Builds after which kernels are cleared; TensorFlow keeps 0.3 MiB per small model."""

_builds = itertools.count(1)


def build_seeded(build: Callable[[], Any], seed: int) -> Any:
    """Build a model with the weights that ``keras.utils.set_random_seed`` would give.

    ``set_random_seed`` calls ``tf.random.set_seed``, which clears TensorFlow's cache
    of instantiated functions: every compiled program would be optimised again for
    every trial, 0.5 to 2 seconds each. Keras's random numbers do not come from
    TensorFlow's global generator, so the cache is kept here. Only if the build draws
    from that generator, the model is built again with ``set_random_seed``. Every
    hundredth model is, too, because memory would grow with every trial
    (keras-tuner#873).

    Args:
        build: Returns a model.
        seed: Seed of the fold.
    """
    import keras

    is_due = next(_builds) % BUILDS_BETWEEN_CLEARINGS == 0
    generator = None if is_due else _seed_without_clearing(seed)
    if generator is None:
        keras.utils.set_random_seed(seed)
        return build()
    model = build()
    if generator.getstate() == random.Random(seed).getstate():
        return model
    keras.utils.set_random_seed(seed)
    return build()


def _seed_without_clearing(seed: int) -> random.Random | None:
    """Set all random states; None if this version of TensorFlow or Keras differs.

    Returns:
        The generator of TensorFlow's global seed, to check whether it is used.
    """
    try:
        from keras.src.backend.common import global_state
        from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
        from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
        from tensorflow.python.eager import context

        state = context.context()
        state.ensure_initialized()
        if not isinstance(state._rng, random.Random | None):
            return None
    except (ImportError, AttributeError):
        return None
    # As keras/src/utils/rng_utils.py (3.15) and Context._set_global_seed (2.21) do.
    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
    random.seed(seed)
    np.random.seed(seed)
    state._seed, state._rng = seed, random.Random(seed)
    return state._rng


def seeds_drawn(seed: int, at_most: int = 1000) -> list[int] | None:
    """Return the seeds that the last build drew for initializers and layers.

    Args:
        seed: Seed of the last call of `build_seeded`.
        at_most: Maximum number of seeds.

    Returns:
        The seeds in the order drawn; None if the build used other random numbers, so
        that its weights depend on more than these seeds.
    """
    if not _is_untouched_elsewhere(seed):
        return None
    generator, end, drawn = random.Random(seed), random.getstate(), []
    while generator.getstate() != end:
        drawn.append(_draw(generator))
        if len(drawn) > at_most:
            return None
    return drawn


def would_draw(seed: int, count: int) -> list[int]:
    """Return the first seeds that a build with another seed would draw."""
    generator = random.Random(seed)
    return [_draw(generator) for _ in range(count)]


def _draw(generator: random.Random) -> int:
    # As keras.src.random.seed_generator.make_default_seed (3.15).
    return generator.randint(1, int(1e9))


def _is_untouched_elsewhere(seed: int) -> bool:
    """Whether NumPy's and TensorFlow's global states are unchanged since seeding."""
    from tensorflow.python.eager import context

    expected = np.random.RandomState(seed).get_state(legacy=False)
    actual = np.random.get_state(legacy=False)
    is_numpy_untouched = (
        actual["state"]["pos"] == expected["state"]["pos"]
        and actual["has_gauss"] == expected["has_gauss"]
        and np.array_equal(actual["state"]["key"], expected["state"]["key"])
    )
    generator = getattr(context.context(), "_rng", None)
    return (
        is_numpy_untouched
        and isinstance(generator, random.Random)
        and generator.getstate() == random.Random(seed).getstate()
    )
