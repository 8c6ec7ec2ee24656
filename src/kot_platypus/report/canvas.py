"""Matplotlib drawings as SVG that takes its colours from the page.

Text stays text, in the page's own font. Every colour is a stand-in that ``render_figure`` swaps
for a CSS variable, so one drawing serves light, dark and print. Each picture is drawn twice, for
a wide and for a narrow screen, because an SVG that is merely shrunk has unreadable labels.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from kot_platypus.report.runs import SERIES
from kot_platypus.results.schema import BASE, TUNED, Estimate

WIDTHS_IN = {"wide": 7.0, "narrow": 3.55}
INK, MUTED, RULE = "#010101", "#020202", "#030303"
_COLOURS = {BASE: "#040404", TUNED: "#050505"}
_OTHER, PAPER = "#060606", "#070707"
_COLOURS |= {who: f"#0808{number:02}" for number, who in enumerate(SERIES, start=1)}
_CSS = {
    INK: "--ink", MUTED: "--muted", RULE: "--rule",
    _COLOURS[BASE]: "--base", _COLOURS[TUNED]: "--tuned", _OTHER: "--other", PAPER: "--paper",
    **{_COLOURS[who]: f"--{who}" for who in SERIES},
}  # fmt: skip
_MARKERS = {BASE: "s", TUNED: "o", **dict(zip(SERIES, "oD^vPX", strict=True))}
MARKS = dict(zip(SERIES, "●◆▲▼✚✖", strict=True))
"""The same marks as letters, for legends."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kot",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "axes.unicode_minus": True,
    "axes.titlesize": 9.5,
}
_ROW_IN = 0.27

Draw = Callable[[float], Figure]


def render_figure(name: str, label: str, draw: Draw) -> Markup:
    """Both sizes of a picture as inline SVG. ``draw`` takes the width in inches."""
    return Markup("").join(_render_svg(f"{name}-{size}", size, label, draw) for size in WIDTHS_IN)


def _render_svg(name: str, size: str, label: str, draw: Draw) -> Markup:
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # A Korean label is the browser's to draw; matplotlib only lacks its width.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = draw(WIDTHS_IN[size])
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    for colour, variable in _CSS.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans)", svg)
    # Ids must be unique in the page, or one picture borrows another's markers.
    svg = re.sub(r'(id="|"#|url\(#)', rf"\g<1>{name}-", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    head = (
        f'<svg class="{size}" {box.group() if box else ""} role="img" aria-label="{escape(label)}" '
        f'style="max-width: {WIDTHS_IN[size] * 96:.0f}px">'
    )
    return Markup(head + svg[svg.index(">") + 1 :])


# --- pieces ------------------------------------------------------------------------------------


def new_axes(
    width_in: float, rows: float, *, right_in: float, bottom_in: float
) -> tuple[Figure, Any]:
    """A figure whose rows have a fixed height, with room for labels on both sides."""
    left_in, top_in = 1.35 if width_in > 5 else 1.15, 0.05
    height_in = rows * _ROW_IN + bottom_in + top_in
    figure = Figure(figsize=(width_in, height_in))
    box = (
        left_in / width_in,
        bottom_in / height_in,
        1 - (left_in + right_in) / width_in,
        1 - (bottom_in + top_in) / height_in,
    )
    axes = figure.add_axes(box)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)
    return figure, axes


def label_rows(axes: Any, labels: Sequence[tuple[float, str]]) -> None:
    """Name the rows, flush left with the page's text."""
    across = blended_transform_factory(axes.figure.transFigure, axes.transData)
    axes.set_yticks([y for y, _ in labels], ["" for _ in labels])
    for y, text in labels:
        axes.text(0, y, text, va="center_baseline", transform=across)


def write_value(axes: Any, y: float, text: str, **style: Any) -> None:
    """Print a row's figure, flush right with the page's text."""
    across = blended_transform_factory(axes.figure.transFigure, axes.transData)
    axes.text(1, y, text, ha="right", va="center_baseline", transform=across, **style)


def draw_dot(
    axes: Any, estimate: Estimate, y: float, who: str, *, size: float, hollow: bool = False
) -> None:
    """Draw an estimate with its interval."""
    ends = {"color": find_colour(who), "linewidth": size / 4, "solid_capstyle": "butt"}
    axes.plot(estimate.ci95, [y, y], **ends)
    draw_mark(axes, estimate.value, y, who, size=size, hollow=hollow)


def draw_mark(
    axes: Any, value: float, y: float, who: str, *, size: float, hollow: bool = False
) -> None:
    """Draw a figure without its interval."""
    colour = find_colour(who)
    axes.plot([value], [y], color=colour, marker=find_marker(who), markersize=size,
              markerfacecolor=PAPER if hollow else colour, markeredgewidth=1.2)  # fmt: skip


def find_colour(who: str) -> str:
    """The colour of a series."""
    return _COLOURS.get(who, _OTHER)


def find_marker(who: str) -> str:
    """The mark of a series."""
    return _MARKERS.get(who, "D")


class Bar(NamedTuple):
    """A bar: its name, how long it is, what is printed beside it, and how it looks."""

    label: str
    length: float
    text: str
    colour: str
    start: float = 0
    is_hollow: bool = False
    whole: float = 0
    """Of a bar that is a part of another: how long that is."""


def draw_bars(bars: Sequence[Bar], width_in: float, *, right_in: float = 0.75) -> Figure:
    """A row a bar, and no scale: every bar has its figure printed beside it."""
    figure, axes = new_axes(width_in, len(bars), right_in=right_in, bottom_in=0.02)
    for row, bar in enumerate(bars):
        if bar.whole:
            axes.barh(row, bar.whole, height=0.5, color=RULE)
        axes.barh(row, bar.length, left=bar.start, height=0.5, linewidth=1,
                  color=PAPER if bar.is_hollow else bar.colour,
                  edgecolor=bar.colour if bar.is_hollow else "none")  # fmt: skip
        write_value(axes, row, bar.text, color=INK)
    label_rows(axes, [(row, bar.label) for row, bar in enumerate(bars)])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, max(max(bar.start + bar.length, bar.whole) for bar in bars) or 1)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    return figure
