"""Checks of files, folders and column names, for sources that read files."""

import re
from collections.abc import Sequence
from pathlib import Path

from ktune.errors import DataError
from ktune.utils.text import did_you_mean


def check_file(path: Path) -> None:
    """Check that a file exists and is not empty.

    Raises:
        DataError: The message names the folder and the nearest file name.
    """
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; a file is needed.")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file." + _where(path))
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty.")


def check_folder(path: Path) -> None:
    """Check that a folder exists.

    Raises:
        DataError: The message names the parent folder and the nearest name.
    """
    if path.is_file():
        raise DataError(f"{path}: this is a file; a folder is needed.")
    if not path.is_dir():
        raise DataError(f"{path}: there is no such folder." + _where(path))


def suspicious_column(names: Sequence[str]) -> str | None:
    """Return a problem with the names of columns; None: no problem."""
    duplicate = [name for name in dict.fromkeys(names) if list(names).count(name) > 1]
    if duplicate:
        count = list(names).count(duplicate[0])
        return f"column {duplicate[0]!r} occurs {count} times. Rename or drop one."
    if "" in names:
        return (
            f"column {list(names).index('') + 1} has no name. pandas writes a row "
            "index like that: save the table with to_csv(…, index=False), or name it."
        )
    return None


def header_hint(names: Sequence[str]) -> str:
    """Return a hint for column names that look like values, or "".

    Example:
        >>> header_hint(["5.1", "3.5", "setosa"])
        ' If line 1 is a row already, say header=None (for predict: --no-header).'
        >>> header_hint(["a", "b", "2"])
        ''
    """
    numbers = [name for name in names if re.fullmatch(r"-?\d*[.,]?\d+", name)]
    if 2 * len(numbers) < len(names):
        return ""
    return " If line 1 is a row already, say header=None (for predict: --no-header)."


def _where(path: Path) -> str:
    parent = path.parent.resolve()
    if not parent.is_dir():
        return f" Nor is there a folder {parent}."
    known = sorted(entry.name for entry in parent.iterdir())
    return f" Looked in {parent}." + did_you_mean(path.name, known)
