"""The Rich console through which tables, summaries and progress reach the terminal."""

from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ktune.utils.text import printable


def make_console(stream: TextIO, *, width: int | None = None) -> Console:
    """Return a Rich console that prints text as it is, with control characters escaped.

    Square brackets in names and values are not markup.
    """
    return _PrintableConsole(file=stream, highlight=False, markup=False, width=width)


class _PrintableConsole(Console):
    """Rich removes five control characters from text, but not ESC."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render an object, and escape control characters in its text."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield segment._replace(text=printable(segment.text))

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print objects; strings are escaped before Rich measures them."""
        texts = (printable(o) if isinstance(o, str) else o for o in objects)
        super().print(*texts, **settings)
