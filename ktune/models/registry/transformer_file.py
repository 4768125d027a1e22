"""The file of a fitted scikit-learn transformer, and the code of the user it needs."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktune.errors import ModelLost
from ktune.experiment.model_code import is_entry
from ktune.experiment.sources import local_file


@dataclass(frozen=True)
class TransformerFile:
    """A transformer as skops writes it.

    Attributes:
        content: Content of the file.
        trusted: Types that skops must be given to load it.
        own: Module to names in it, of the classes and functions of the user.
    """

    content: bytes
    trusted: tuple[str, ...]
    own: Mapping[str, set[str]]


def dump_transformer(transformer: Any) -> TransformerFile:
    """Return a transformer as a file.

    Raises:
        ModelLost: Another process could not load it; one sentence with the remedy.
    """
    import skops.io

    try:
        content = skops.io.dumps(transformer)
    except Exception as error:
        raise ModelLost(
            f"`preprocess`: skops cannot store {type(transformer).__name__}: {error}"
        ) from error
    trusted = tuple(map(str, skops.io.get_untrusted_types(data=content)))
    return TransformerFile(content, trusted, _own(trusted))


def _own(trusted: tuple[str, ...]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for dotted in trusted:
        module, _, name = dotted.rpartition(".")
        if not is_entry(module) and local_file(module) is None:
            continue
        if not hasattr(sys.modules.get(module), name):
            noun = "a Python lambda" if name == "<lambda>" else f"{name!r}"
            raise ModelLost(
                f"`preprocess`: {noun} has no name at the top level of a file, by "
                "which another process could import it: define it there, with `def` "
                "or `class`"
            )
        found.setdefault(module, set()).add(name)
    return found
