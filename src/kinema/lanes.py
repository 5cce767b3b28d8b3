"""Chart of located actions: a lane for each label with its segments as bars, above the curve of its score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kinema.charts import INK, OTHER, class_colours, name_ticks, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

Span = tuple[float, float, str, float]
"""(start_s, end_s, label, score)"""

Curves = Mapping[str, tuple["NDArray[np.float64]", "NDArray[np.floating]"]]
"""Times in seconds [n] and scores [n] by label."""

MOST_LANES = 24
_TICKS_S, _MOST_TICKS = (30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400), 10
_OTHERS = "other labels"
_CURVE, _BAR = (0.06, 0.54), (0.62, 0.94)
"""Where in a lane of height 1 the bars and the curve of the score are."""


def lanes(
    spans: Sequence[Span],
    labels: Sequence[str],
    duration_s: float,
    curves: Curves | None = None,
    *,
    title: str = "",
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """Segments over time, a lane for each label that has one; lanes are in the order of `labels`.

    Args:
        spans: the segments; a stronger colour is a higher score, relative to the highest.
        labels: all labels, in the order of their indices.
        duration_s: length of the video.
        curves: scores over time of the labels that have a curve.
        title: title of the chart.
        colours: by label; None is the colour of the label's index.
    """
    curves = curves or {}
    seconds = Counter[str]()
    for start_s, end_s, label, _ in spans:
        seconds[label] += end_s - start_s  # type: ignore[assignment]
    shown = [label for label, _ in seconds.most_common(MOST_LANES)] or list(curves)[:MOST_LANES]
    names = [label for label in labels if label in shown]
    rows = {label: row for row, label in enumerate(names)}
    if others := [label for label in seconds if label not in rows]:
        rows |= dict.fromkeys(others, len(names))
        names.append(_OTHERS)
    has_curves = any(label in curves for label in names)
    height = 0.62 if has_curves else 0.36
    figure, (ax,) = new_figure(9, 1.0 + height * max(len(names), 1), title=title)
    colours = {**(colours or class_colours(labels)), **dict.fromkeys(others, OTHER)}
    for label in names:
        if label in curves:
            _draw_curve(ax, *curves[label], rows[label], colours[label])
    highest = max((score for *_, score in spans), default=1.0) or 1.0
    for start_s, end_s, label, score in spans:
        low, high = (rows[label] + share for share in (_BAR if has_curves else (0.2, 0.8)))
        shade = 0.35 + 0.65 * max(score, 0.0) / highest
        ax.broken_barh([(start_s, end_s - start_s)], (low, high - low), facecolor=colours[label], alpha=shade)
    if not spans:
        middle = sum(_BAR) / 2 if has_curves else 0.5
        ax.text(duration_s / 2, middle, "nothing found", color=INK, ha="center", va="center", fontsize=11)
    _set_axes(ax, names, duration_s)
    return figure


def _draw_curve(ax: Axes, times_s: NDArray[np.float64], scores: NDArray[np.floating], row: int, colour: str) -> None:
    """The score from 0 to 1 in the upper part of a lane; scores outside of 0 to 1 are scaled to their own range."""
    low, high = min(0.0, float(scores.min())), max(1.0, float(scores.max()))
    top, base = row + _CURVE[0], row + _CURVE[1]
    heights = base + (np.asarray(scores, np.float64) - low) / (high - low) * (top - base)
    ax.fill_between(times_s, heights, base, color=colour, alpha=0.18, linewidth=0)
    ax.plot(times_s, heights, color=colour, linewidth=1.2)


def _set_axes(ax: Axes, names: Sequence[str], duration_s: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    ax.set_xlim(0, duration_s)
    ax.set_ylim(max(len(names), 1), 0)
    name_ticks(ax.yaxis, names, [row + 0.5 for row in range(len(names))])
    ax.set_yticks(range(1, len(names)), minor=True)
    ax.grid(False, axis="y")
    ax.grid(True, axis="y", which="minor", color=INK, alpha=0.2, linewidth=0.8)
    ax.tick_params(axis="y", which="both", length=0)
    if duration_s > 180:
        step_s = next((step for step in _TICKS_S if duration_s <= _MOST_TICKS * step), duration_s / _MOST_TICKS)
        ax.xaxis.set_major_locator(MultipleLocator(step_s))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))
        ax.set_xlabel("time", color=INK)
    else:
        ax.set_xlabel("time in seconds", color=INK)


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours if there are some.

    >>> clock(75.0), clock(3675.0)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
