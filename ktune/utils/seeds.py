"""Derivation of all seeds from the seed of a search."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Derive a seed that depends only on ``parts``.

    A fold trained alone, in another order or in another process gets the same
    seed, so its result does not depend on the process that trains it.

    Args:
        *parts: The path to the consumer: seed of the search, trial number, fold
            index or a word such as ``"refit"``.

    Returns:
        An integer in [1, 2**31 - 1]; never 0, which KerasTuner reads as "no seed".

    Example:
        >>> derive_seed(0, 3, 1) == derive_seed(0, 3, 1) != derive_seed(0, 3, 2)
        True
    """
    text = "/".join(str(part) for part in parts)
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "little") % (2**31 - 1) + 1
