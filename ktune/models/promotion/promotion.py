"""The outcome of a promotion."""

from dataclasses import asdict, dataclass
from typing import Any

from ktune.tracking.model_registry import CHAMPION


@dataclass(frozen=True)
class Promotion:
    """Alias of a version of a registered model after a promotion.

    Attributes:
        model: Name of the registered model.
        version: The version.
        alias: Its alias: "champion" or "challenger".
        reason: Reason of the alias.
        before: The previous champion; None if there was none.
        is_new_version: Whether the trial was refitted for it.
        is_move: Whether an alias was changed.
        is_forced: Whether the gate decided otherwise.
    """

    model: str
    version: int
    alias: str
    reason: str
    before: int | None
    is_new_version: bool
    is_move: bool = True
    is_forced: bool = False

    @property
    def is_champion(self) -> bool:
        """Whether the version is champion now."""
        return self.alias == CHAMPION

    @property
    def message(self) -> str:
        """The outcome as a sentence."""
        version = f"{self.model!r} version {self.version}"
        if not self.is_move:
            return f"{version} is {self.alias} already."
        refitted = ", refitted for this," if self.is_new_version else ""
        forced = " by force, although" if self.is_forced else ""
        previous = "" if self.before is None else f" Previous champion: {self.before}."
        if not self.is_champion and self.before is not None:
            previous = f" Champion stays version {self.before}."
        return (
            f"{version}{refitted} is {self.alias} now{forced}: {self.reason}.{previous}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**asdict(self), "is_champion": self.is_champion, "told": self.message}
