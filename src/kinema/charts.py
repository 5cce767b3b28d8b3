"""Charts as matplotlib figures, drawn with the object interface: no pyplot, no global state, thread-safe.

A class has the colour of its index in the network's labels, in all charts, reports and drawn videos. Text and axes all have the
colour `INK`, which `figure_svg` replaces by the page's (`currentColor`): a chart is readable on light and on dark background.
Labels are drawn literally, without mathtext, in fonts of the system (`kinema.fonts`); in SVG they are text.
"""

from __future__ import annotations

import html
import io
import re
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinema import fonts
from kinema.files import whole_file, write_text
from kinema.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Text
    from numpy.typing import NDArray


PALETTE = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#771122", "#0000ff", "#333377", "#775566",
    "#8877ff", "#bb1111", "#5500bb", "#77cc88", "#cc0099", "#114444", "#ff4477", "#226611", "#dd33dd", "#55cccc",
)  # fmt: skip
"""Six colours of Okabe and Ito. Each further one is as far as possible from those before it, from white and from `OTHER`, in
Oklab, for normal vision and for protanopia and deuteranopia (Machado et al. 2009), whichever sees the smaller difference."""
INK = "#262b33"
OTHER = "#9aa2ad"
"""The colour of classes without a line in a chart."""

_SVG_LOCK = threading.Lock()
_ORIGINALS: weakref.WeakKeyDictionary[Text, str] = weakref.WeakKeyDictionary()
"""Labels as given, if some of their characters are drawn as escapes."""

_GROUPS = (
    ("loss", ("loss",)),
    ("score", ("hit", "accuracy", "f1", "precision", "map")),
    ("rate", ("lr", "learning_rate")),
)


def new_figure(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    title: str = "",
    height_ratios: Sequence[float] | None = None,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """An empty figure (size in inches) on an Agg canvas, and its axes row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    FigureCanvasAgg(figure)
    if title:
        heading = figure.suptitle("", color=INK, x=0.01, ha="left", fontsize=11, fontweight="bold")
        _set_label(heading, title)
    grid = figure.subplots(rows, columns, squeeze=False, height_ratios=height_ratios, sharex=sharex, sharey=sharey)
    for ax in grid.flat:
        ax.set_facecolor("none")
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set(color=INK, alpha=0.45)
        ax.tick_params(colors=INK, labelsize=9, length=3)
        ax.grid(True, color=INK, alpha=0.12, linewidth=0.8)
        ax.set_axisbelow(True)
    return figure, list(grid.flat)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure, completely or not at all; the ending (.png, .svg, .pdf) chooses the format.

    Raises:
        OutputError: it cannot be written.
    """
    if Path(path).suffix.lower() == ".svg":
        write_text(path, _as_svg(figure))
        return
    if undrawn := frozenset(original for _, original in _undrawn(figure)):
        fonts.warn_without_font(undrawn)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=150, facecolor="white", bbox_inches="tight")


def figure_svg(figure: Figure, prefix: str = "") -> str:
    """A figure as an <svg> element: transparent, in the text colour of the page, and with ids that start with `prefix`."""
    svg = _as_svg(figure, transparent=True)
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{prefix}", svg)
    svg = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", svg, count=1)
    return re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", svg)


def _as_svg(figure: Figure, transparent: bool = False) -> str:
    """SVG with text as text, in any script that the reader's fonts have."""
    import matplotlib

    out = io.StringIO()
    # matplotlib has no other way to choose text; two threads in rc_context would leave each other's setting behind
    with _SVG_LOCK, matplotlib.rc_context({"svg.fonttype": "none"}):
        ground, metadata = "none" if transparent else "white", {"Date": None, "Creator": None}
        figure.savefig(
            out, format="svg", transparent=transparent, facecolor=ground, bbox_inches="tight", metadata=metadata
        )
    svg = out.getvalue()
    for drawn, original in _undrawn(figure):
        svg = svg.replace(f">{html.escape(drawn, quote=False)}<", f">{html.escape(printable(original), quote=False)}<")
    return svg


def _undrawn(figure: Figure) -> list[tuple[str, str]]:
    """Labels with characters that no font has: as drawn, and as given."""
    from matplotlib.text import Text

    texts = figure.findobj(Text)
    return [(text.get_text().replace(r"\$", "$"), _ORIGINALS[text]) for text in texts if text in _ORIGINALS]


def _set_label(text: Text, label: str) -> None:
    """Draw a label literally: no mathtext between dollars, in fonts that have its characters, else as escapes."""
    drawn = fonts.drawable(label)
    text.set_text(drawn.replace("$", r"\$"))
    text.set_fontfamily([*fonts.families_for(drawn), "sans-serif"])
    text.set_usetex(False)
    if fonts.has_no_font(label):
        _ORIGINALS[text] = label


def name_ticks(axis: Axis, labels: Sequence[str], places: Sequence[float], size: float = 9) -> None:
    """Put labels at some places of an axis."""
    axis.set_ticks(places, [fonts.drawable(label).replace("$", r"\$") for label in labels], fontsize=size)
    for text, label in zip(axis.get_ticklabels(), labels, strict=True):
        _set_label(text, label)


def timeline(
    times_s: NDArray[np.float64],
    scores: NDArray[np.float32],
    labels: Sequence[str],
    spans: Iterable[tuple[float, float, str]],
    *,
    raw: NDArray[np.float32] | None = None,
    title: str = "",
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """Scores over time: one line for each label, and a ribbon of labelled spans below.

    Args:
        times_s: times of the scores [n].
        scores: scores of the drawn labels [n k].
        labels: names of the drawn labels, k.
        spans: (start, end, label) in seconds; spans of labels that are not drawn are grey.
        raw: scores before smoothing [n k], drawn as thin lines.
        title: title of the chart.
        colours: by label; None chooses them.
    """
    figure, (lines, ribbon) = new_figure(9, 3.6, rows=2, height_ratios=(8, 1), sharex=True, title=title)
    colours = colours or class_colours(labels)
    for column, label in enumerate(labels):
        if raw is not None:
            lines.plot(times_s, raw[:, column], color=colours[label], linewidth=0.8, alpha=0.35)
        lines.plot(times_s, scores[:, column], color=colours[label], linewidth=2)
    lines.set_ylim(-0.02, 1.02)
    lines.set_ylabel("score", color=INK)
    lines.tick_params(axis="x", labelbottom=False)
    _legend(lines, lines.lines[:] if raw is None else lines.lines[1::2], labels)
    for start_s, end_s, label in spans:
        colour = colours[label] if label in labels else OTHER
        ribbon.broken_barh([(start_s, end_s - start_s)], (0, 1), facecolor=colour)
    ribbon.set_ylim(0, 1)
    ribbon.set_yticks([])
    ribbon.grid(False)
    ribbon.spines["left"].set_visible(False)
    ribbon.set_xlabel("time in seconds", color=INK)
    return figure


def confusion_matrix(matrix: NDArray[np.int64], labels: Sequence[str]) -> Figure:
    """A confusion matrix [true predicted]. Shades are shares of the row; up to 25 classes have numbers."""
    count = len(labels)
    side = float(np.clip(0.42 * count + 2.2, 3.6, 11))
    figure, (ax,) = new_figure(side + 0.8, side)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=ax, fraction=0.045, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=8, length=0)
    bar.set_label("share of the true class", color=INK, fontsize=9)
    ax.grid(False)
    ticks = range(0, count, max(1, count // 60))
    names, size = [labels[i] for i in ticks], 9 if count <= 25 else 6
    name_ticks(ax.xaxis, names, ticks, size)
    name_ticks(ax.yaxis, names, ticks, size)
    for text in ax.get_xticklabels():
        text.set(rotation=45, ha="right", rotation_mode="anchor")
    ax.set_xlabel("predicted", color=INK)
    ax.set_ylabel("true", color=INK)
    if count <= 25:
        for (row, column), number in np.ndenumerate(matrix):
            if number:
                # not INK, which takes the page's colour: the contrast with the cell must stay
                colour = "white" if share[row, column] > 0.55 else "#0b1f33"
                ax.text(column, row, str(number), ha="center", va="center", color=colour, fontsize=8)
    return figure


def curves(rows: Sequence[Mapping[str, object]], x: str = "epoch") -> Figure:
    """Training curves: one panel each for losses, for scores and for the learning rate, as far as the rows have them.

    `rows` has one mapping for each epoch, `x` is the key of the horizontal axis. Values that are no numbers are skipped.
    """
    from matplotlib.ticker import MaxNLocator

    numbers = [key for key in dict.fromkeys(k for row in rows for k in row) if any(_number(r.get(key)) for r in rows)]
    panels = []
    for name, words in _GROUPS:
        pattern = re.compile(rf"(^|[_.])({'|'.join(words)})($|[_.@\d])")
        if keys := [key for key in numbers if key != x and pattern.search(key)]:
            panels.append((name, keys))
    figure, axes = new_figure(8, 0.6 + 2.2 * max(len(panels), 1), rows=max(len(panels), 1), sharex=True)
    for ax, (name, keys) in zip(axes, panels, strict=False):
        for key, colour in zip(keys, _cycle(len(keys)), strict=True):
            points = [(row[x], row[key]) for row in rows if _number(row.get(key))]
            marker = "o" if len(points) < 40 else ""
            ax.plot(*zip(*points, strict=True), color=colour, linewidth=1.8, marker=marker, markersize=3)
        ax.set_ylabel(name, color=INK)
        _legend(ax, ax.lines, [key.replace("_", " ").replace(".", " ") for key in keys])
    axes[-1].set_xlabel(x, color=INK)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def bars(
    rows: Sequence[tuple[str, float, float, float]],
    title: str = "",
    colours: Mapping[str, str] | None = None,
    limit: float | None = 1.0,
) -> Figure:
    """Horizontal bars with confidence intervals, the first row on top.

    `rows` has (name, value, low, high) of each bar. `colours` are by name, as in `timeline`; None gives all the same one.
    `limit` is the right end of the axis; None fits the data.
    """
    figure, (ax,) = new_figure(8, 0.9 + 0.42 * len(rows), title=title)
    values = np.array([row[1] for row in rows], dtype=float)
    spread = np.abs(np.array([[row[1] - row[2], row[3] - row[1]] for row in rows], dtype=float).reshape(-1, 2).T)
    named = [(colours or {}).get(row[0], PALETTE[0]) for row in rows]
    ax.barh(range(len(rows)), values, color=named, height=0.62)
    if spread.any():
        ax.errorbar(values, range(len(rows)), xerr=spread, fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)
    name_ticks(ax.yaxis, [row[0] for row in rows], range(len(rows)))
    ax.invert_yaxis()
    ax.set_xlim(0, limit)
    ax.grid(False, axis="y")
    for place, row in enumerate(rows):
        _write_value(ax, f"{row[1]:.3g}", max(row[1], row[3]), place)
    return figure


def paired_bars(rows: Sequence[tuple[str, float, float]], left: str, right: str, title: str = "") -> Figure:
    """Two panels of horizontal bars side by side, the first row on top; a left axis over more than two decades is logarithmic.

    `rows` has (name, left value, right value). `left` and `right` are the labels of the axes, with the units.
    """
    figure, panels = new_figure(10, 1.3 + 0.42 * len(rows), columns=2, sharey=True, title=title)
    for ax, column, label in zip(panels, (1, 2), (left, right), strict=True):
        values = [float(row[column]) for row in rows]
        ax.barh(range(len(rows)), values, color=PALETTE[column - 1], height=0.62)
        for place, value in enumerate(values):
            _write_value(ax, f"{value:,.0f}" if value >= 100 else f"{value:.3g}", value, place)
        if column == 1 and min(values) > 0 and max(values) > 100 * min(values):
            ax.set_xscale("log")
            ax.set_xlim(min(values) / 3, max(values) * 3)
        else:
            ax.set_xlim(0, 1.18 * max(values) or 1.0)
        ax.grid(False, axis="y")
        ax.set_xlabel(label, color=INK)
    name_ticks(panels[0].yaxis, [row[0] for row in rows], range(len(rows)))
    panels[0].invert_yaxis()
    return figure


def scatter(rows: Sequence[tuple[str, float, float]], x_label: str, y_label: str) -> Figure:
    """Quality against cost, one named dot for each network, with the Pareto front; a cost axis over a decade is logarithmic.

    `rows` has (name, cost, quality); the labels of the axes, of cost and of quality, include the units.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, (ax,) = new_figure(8, 4.4)
    costs, qualities = (np.array([row[column] for row in rows], dtype=float) for column in (1, 2))
    ax.scatter(costs, qualities, s=64, color=PALETTE[0], zorder=3)
    best = [i for i in range(len(rows)) if not ((costs <= costs[i]) & (qualities > qualities[i])).any()]
    front = sorted(best, key=lambda i: costs[i])
    ax.step(costs[front], qualities[front], where="post", color=PALETTE[1], linewidth=1.2, linestyle="--", zorder=2)
    for name, cost, quality in rows:
        note = ax.annotate("", (cost, quality), (7, 5), textcoords="offset points", color=INK, fontsize=9)
        _set_label(note, name)
    if len(rows) > 1 and costs.min() > 0 and costs.max() > 10 * costs.min():
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(0.14, 0.14)
    ax.set_xlabel(x_label, color=INK)
    ax.set_ylabel(y_label, color=INK)
    return figure


def _write_value(ax: Axes, text: str, x: float, y: float) -> None:
    ax.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", color=INK, fontsize=9)


def _legend(ax: Axes, lines: Sequence[Line2D], labels: Sequence[str]) -> None:
    """A legend above the axes, in as many columns as fit: long labels get fewer."""
    longest = max((len(fonts.drawable(label)) for label in labels), default=0)
    columns = max(1, min(5, len(labels), int(ax.figure.bbox.width / 100 * 12) // (longest + 6)))
    legend = ax.legend(
        lines, [" "] * len(labels), loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=9,
        labelcolor=INK, borderaxespad=0.2,
    )  # fmt: skip
    # as text of the legend: matplotlib leaves out labels that begin with an underscore
    for text, label in zip(legend.get_texts(), labels, strict=True):
        _set_label(text, label)


def class_colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each label of a network, by its index: the palette of 20, then darker and lighter shades of it, then again."""
    return dict(zip(labels, _cycle(len(labels)), strict=True))


def _cycle(count: int) -> list[str]:
    shades = [*PALETTE, *(_mixed(colour, 0) for colour in PALETTE), *(_mixed(colour, 255) for colour in PALETTE)]
    return [shades[index % len(shades)] for index in range(count)]


def _mixed(colour: str, other: int) -> str:
    """The colour `#rrggbb` mixed with an equal part of a grey level."""
    return "#" + "".join(f"{(int(colour[place : place + 2], 16) + other) // 2:02x}" for place in (1, 3, 5))


def _number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))
