"""Values a user wants to begin with: whether the space has them."""

from collections.abc import Mapping, Sequence

from ktune.errors import SpaceError
from ktune.searchers.configuration import values_of
from ktune.searchers.discovery import Declare, discover, propose_given
from ktune.trial import Value
from ktune.utils.text import did_you_mean


def check_start_values(
    declare: Declare, start_from: Sequence[Mapping[str, Value]]
) -> None:
    """Check that a builder asks for every value given, and admits it.

    Raises:
        SpaceError: It does not; with the nearest name.
    """
    for given in start_from:
        path = discover(declare, propose_given(given), lambda p: p.name)
        asked = list(values_of(path))
        for name in given:
            if name not in asked:
                raise SpaceError(
                    f"`start_from`: with the values {dict(given)!r} no parameter "
                    f"{name!r} is asked for. Asked for: {', '.join(asked)}."
                    + did_you_mean(name, asked)
                )
