"""An HTML page that notebooks show inline."""

import html
from dataclasses import dataclass, field
from pathlib import Path

_HEIGHT = 800


@dataclass(frozen=True)
class HtmlPage:
    """A self-contained page.

    Attributes:
        html: The page as text.
    """

    html: str = field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the page to a file and return its path."""
        path = Path(path)
        path.write_text(self.html, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        """Return the page for a notebook, in a frame that isolates its styles."""
        source = html.escape(self.html, quote=True)
        return (
            f'<iframe srcdoc="{source}" width="100%" height="{_HEIGHT}" '
            'style="border:0"></iframe>'
        )
