"""A Plotly figure as plain values, and the parts that figures share.

Colours are names (``@good``, ``@line1`` …). The script of the page replaces them by
those of the light or dark scheme and redraws when the scheme changes.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ktune.diagnosis import Verdict
from ktune.trial import Value
from ktune.utils.text import printable, shortened

VERDICT_COLOURS = {verdict: f"@{verdict.value}" for verdict in Verdict}
VERDICT_SYMBOLS = {
    Verdict.GOOD: "circle",
    Verdict.OVERFIT: "triangle-up",
    Verdict.UNDERFIT: "triangle-down",
    Verdict.UNSTABLE: "diamond",
    Verdict.FAILED: "x",
}
"""Symbols beside the colours, for colour-blind readers and black-and-white prints."""

_DIGITS = 5


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes:
        key: Part of the id of the element.
        data: Plotly traces.
        layout: Plotly layout; the page sets fonts, margins and background.
        height: Height in pixels.
        caption: One sentence on how to read it.
    """

    key: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any] = field(default_factory=dict)
    height: int = 320
    caption: str = ""


def numbers(values: Iterable[float | None]) -> list[float | None]:
    """Return numbers with few digits; None, a gap, for values that are not finite."""
    return [
        float(f"{v:.{_DIGITS}g}") if v is not None and math.isfinite(v) else None
        for v in values
    ]


def plain(text: object) -> str:
    """Return text escaped for Plotly, which interprets HTML tags.

    Plotly does not decode the entities of quotes, and text is no attribute.
    """
    return html.escape(printable(str(text)), quote=False)


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """Return an axis with a title."""
    return {"title": {"text": plain(title)}, "automargin": True, **settings}


def shown(value: Value) -> str:
    """Return the value of a hyperparameter as short escaped text."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return plain(shortened(text, 40))


def verdict_points(
    verdict: Verdict, x: Sequence[Any], y: Sequence[Any], text: Sequence[str]
) -> dict[str, Any]:
    """Return points of trials with one verdict, in its colour and shape."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": verdict.value,
        "x": x,
        "y": y,
        "text": text,
        "marker": {
            "color": VERDICT_COLOURS[verdict],
            "symbol": VERDICT_SYMBOLS[verdict],
            "size": 9,
            "opacity": 0.85,
        },
    }


def band(
    x: Sequence[float], low: np.ndarray, high: np.ndarray, colour: str, **place: Any
) -> dict[str, Any]:
    """Return a closed area between two curves."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*x, *reversed(list(x))],
        "y": [*numbers(low), *reversed(numbers(high))],
        "fill": "toself",
        "fillcolor": f"{colour}-band",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        **place,
    }
