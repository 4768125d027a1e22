"""Check the values of `start_from` against the space."""

from collections.abc import Mapping, Sequence

from ktune.errors import SpaceError
from ktune.searchers.configuration import values_of
from ktune.searchers.discovery import Declare, discover, propose_values
from ktune.trial import Value
from ktune.utils.text import did_you_mean


def check_start_values(
    declare: Declare, start_from: Sequence[Mapping[str, Value]]
) -> None:
    """Check that a builder requests and admits all values of each trial.

    Raises:
        SpaceError: It does not; the message has the nearest name.
    """
    for values in start_from:
        configuration = discover(declare, propose_values(values), lambda p: p.name)
        active = list(values_of(configuration))
        for name in values:
            if name not in active:
                raise SpaceError(
                    f"`start_from`: with the values {dict(values)!r} the builder "
                    f"requests no parameter {name!r}. It requests: "
                    f"{', '.join(active)}." + did_you_mean(name, active)
                )
