"""Where a version of a registered model stands after a promotion."""

from dataclasses import asdict, dataclass
from typing import Any

from ktune.tracking.model_registry import CHAMPION


@dataclass(frozen=True)
class Promotion:
    """Where a version of a registered model stands, and why.

    Attributes:
        model: Name of the registered model.
        version: The version in question.
        alias: What it is now: "champion" or "challenger".
        reason: Why.
        before: The champion before, None for none.
        is_new_version: Whether the trial had to be refitted for it.
        is_move: Whether an alias was moved.
        is_forced: Whether the gate would have decided otherwise.
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
    def told(self) -> str:
        """What happened, in a sentence."""
        what = f"{self.model!r} version {self.version}"
        if not self.is_move:
            return f"{what} is {self.alias} already."
        refitted = ", refitted for this," if self.is_new_version else ""
        forced = " by force, though" if self.is_forced else ""
        kept = "" if self.before is None else f" Champion before: {self.before}."
        if not self.is_champion and self.before is not None:
            kept = f" Champion stays version {self.before}."
        return f"{what}{refitted} is {self.alias} now{forced}: {self.reason}.{kept}"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**asdict(self), "is_champion": self.is_champion, "told": self.told}
