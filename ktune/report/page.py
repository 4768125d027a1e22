"""Render a report as one self-contained HTML file."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktune.report.content import page_of
from ktune.report.figures.figure import Figure
from ktune.report.view import SearchReport
from ktune.utils.text import printable

if TYPE_CHECKING:
    from markupsafe import Markup

_TEMPLATES = "ktune.report"


def render_report(report: SearchReport) -> str:
    """Return the report page of a search as HTML with figures, style and script."""
    page = page_of(report)
    return render_page("report.html.j2", page, _figures_in(page))


def write_report(report: SearchReport, path: Path) -> Path:
    """Write the report page of a search; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_report(report), encoding="utf-8")
    return path


def render_page(
    template: str, page: Mapping[str, Any], figures: Sequence[Figure]
) -> str:
    """Render a template; all texts in ``page`` are escaped.

    Args:
        template: Name of a file in ``templates``.
        page: Content of the template.
        figures: Figures of the page; the template contains their places.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["with_code"] = with_code
    folder = files(_TEMPLATES) / "templates"
    return environment.get_template(template).render(
        page=page,
        style=(folder / "style.css").read_text(encoding="utf-8"),
        script=(folder / "figures.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        figures=as_script_json([_figure_json(figure) for figure in figures]),
    )


def _visible(value: Any) -> Any:
    """Return a value of a template; control characters in text are escaped."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return printable(value) if is_text else value


def with_code(text: str) -> "Markup":
    """Return text escaped for HTML, with parts in backticks as code."""
    from markupsafe import Markup, escape

    text = printable(text)
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:  # an unpaired backtick comes from the user
        return escape(text)
    marked = (
        Markup("<code>{}</code>").format(part) if index % 2 else part
        for index, part in enumerate(parts)
    )
    return Markup("").join(marked)


def as_script_json(content: Any) -> str:
    r"""Return JSON that cannot close the script element around it.

    Example:
        >>> print(as_script_json("<b>"))
        "\u003cb\u003e"
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _figures_in(content: Any) -> list[Figure]:
    """Return all figures in the content of a page."""
    if isinstance(content, Figure):
        return [content]
    if isinstance(content, Mapping):
        return [figure for part in content.values() for figure in _figures_in(part)]
    if isinstance(content, list | tuple):
        return [figure for part in content for figure in _figures_in(part)]
    return []


def _figure_json(figure: Figure) -> dict[str, Any]:
    return {
        "key": figure.key,
        "data": list(figure.data),
        "layout": dict(figure.layout),
        "height": figure.height,
    }
