"""Find changes since a search: code, data, versions, machine."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktune.evaluation.recorded import Rebuilt, RecordedSearch
from ktune.experiment.environment import KEY_PACKAGES, Environment

_MACHINE = ("platform", "processor", "cpus")

_OF_SUMS = ("processor", "cpus", "threads")
"""Changes that change the order of sums, and thus the last bits of some operations."""


@dataclass(frozen=True)
class Change:
    """A difference from the recorded state.

    Attributes:
        subject: "source", "data", "folds", "package", "machine", "backend" or
            "variable".
        message: The old and the new state in one line.
        detail: A unified diff of a source file, else "".
        matters: Whether it may have changed the result. The working copy does not
            matter, as the recorded sources are run.
    """

    subject: str
    message: str
    detail: str = ""
    matters: bool = True

    @property
    def reorders_sums(self) -> bool:
        """Whether it changes the order of sums: another processor, or more threads."""
        return self.message.partition(" ")[0] in _OF_SUMS

    def as_dict(self) -> dict[str, Any]:
        """Return the change as plain values, with the keys of ``--json``."""
        return {
            "subject": self.subject,
            "told": self.message,
            "detail": self.detail,
            "matters": self.matters,
        }


def find_changes(
    recorded: RecordedSearch, rebuilt: Rebuilt, now: Environment
) -> list[Change]:
    """Compare the recorded state with the present one."""
    return [
        *_changes_of_sources(recorded),
        *_changes_of_data(recorded, rebuilt),
        *changes_of_environment(recorded.environment, now.as_dict()),
    ]


def changes_of_environment(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> list[Change]:
    """Compare two environments from `Environment.as_dict`."""
    return [
        *_compare("package", ("python", "ktune"), before, now),
        *_changes_of_packages(before.get("packages", {}), now["packages"]),
        *_compare("machine", _MACHINE, before, now),
        *_compare_all("backend", before.get("backend", {}), now["backend"]),
        *_compare_all("variable", before.get("variables", {}), now["variables"]),
    ]


def _compare(
    subject: str, fields: tuple[str, ...], before: Mapping[str, Any], now: Any
) -> Iterator[Change]:
    for name in fields:
        old, new = _plain(before.get(name)), _plain(now.get(name))
        if old != new:
            yield Change(subject, f"{name} was {_text(old)}, is {_text(new)}")


def _compare_all(
    subject: str, before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[Change]:
    yield from _compare(subject, tuple(sorted({*before, *now})), before, now)


def _changes_of_packages(
    before: Mapping[str, str], now: Mapping[str, str]
) -> Iterator[Change]:
    """Name changed packages that results depend on, and count other ones."""
    yield from _compare("package", KEY_PACKAGES, before, now)
    others = [
        name
        for name in sorted({*before, *now} - {*KEY_PACKAGES})
        if before.get(name) != now.get(name)
    ]
    if others:
        named = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
        message = f"{len(others)} other packages differ: {named}"
        yield Change("package", message, matters=False)


def _changes_of_data(recorded: RecordedSearch, rebuilt: Rebuilt) -> Iterator[Change]:
    if not rebuilt.is_same_data:
        message = f"digest was {recorded.data_digest}, is {rebuilt.dataset.digest}"
        yield Change("data", message)
    if not rebuilt.has_recorded_folds:
        yield Change(
            "folds",
            f"the data have {rebuilt.dataset.n_rows} rows now, so the recorded folds "
            "do not match; the data were split again",
        )
    for name in recorded.left_out:
        message = f"field {name!r} was replaced by a value that could not be recorded"
        yield Change("source", message)


def _changes_of_sources(recorded: RecordedSearch) -> Iterator[Change]:
    """Compare the recorded sources with the working copy."""
    for name, original in recorded.entry.get("paths", {}).items():
        content = recorded.sources.get(name, b"")
        path = Path(original)
        try:
            present = path.read_bytes()
        except OSError:
            yield Change("source", f"{name} is gone from {path.parent}", matters=False)
            continue
        if present != content:
            diff = _diff(name, content, present)
            added = sum(line.startswith("+") for line in diff[2:])
            removed = sum(line.startswith("-") for line in diff[2:])
            message = f"{name} has changed since: +{added} −{removed} lines"
            yield Change("source", message, "\n".join(diff), matters=False)


def _diff(name: str, before: bytes, now: bytes) -> list[str]:
    old, new = (text.decode(errors="replace").splitlines() for text in (before, now))
    names = (f"recorded/{name}", f"now/{name}")
    return list(difflib.unified_diff(old, new, *names, lineterm=""))


def _plain(value: Any) -> Any:
    """Return a value as JSON would load it."""
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if value is None:
        return "not there"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
