"""A report as one self-contained HTML file: charts as inline SVG, videos as data, no external links.

Report("Hockey").add_section("Result").add_table(["class", "n"], [["fight", 50]]).write("report.html")
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kinema import charts
from kinema.errors import UsageError
from kinema.evaluation.judgement import FIGURE_NAMES
from kinema.evaluation.remarks import baseline_figures, counted, legend, shown, warnings
from kinema.evaluation.result import classes_csv
from kinema.files import write_json, write_text
from kinema.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kinema.evaluation.judgement import Judgement


_MAX_UNBROKEN = 20
"""Longer cells may be broken anywhere, so that a table fits its page."""

_MIMES = {".mp4": "video/mp4", ".webm": "video/webm"}


@dataclass(slots=True)
class _Section:
    """A title and the parts below it, as the template reads them."""

    title: str
    parts: list[dict[str, object]] = field(default_factory=list)


class Report:
    """Sections of text, tables, charts and videos; the methods return the report, so that calls can be chained."""

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title, self.subtitle = title, subtitle
        self._sections: list[_Section] = []
        self._num_figures = 0

    def add_section(self, title: str = "") -> Report:
        """Begin a new section, to which the next parts are added."""
        self._sections.append(_Section(title))
        return self

    def add_text(self, text: str, soft: bool = False) -> Report:
        """Add a paragraph; with `soft` in the style of a remark."""
        return self._add(kind="text", text=text, soft=soft)

    def add_tiles(self, tiles: Sequence[tuple[str, str, str]]) -> Report:
        """Add big numbers: (name, value, remark) each."""
        return self._add(kind="tiles", tiles=tiles)

    def add_table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        title: str = "",
        note: str = "",
        shares: Sequence[str] = (),
    ) -> Report:
        """Add a table. Columns of numbers are right-aligned; those in `shares` (0 to 1) get a bar behind the number."""
        places = range(len(columns))
        numeric = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in places]
        cells = [[_cell(row[i], numeric[i], is_share=name in shares) for i, name in enumerate(columns)] for row in rows]
        heads = [{"name": name, "numeric": is_numeric} for name, is_numeric in zip(columns, numeric, strict=True)]
        return self._add(kind="table", columns=heads, rows=cells, title=title, note=note)

    def add_figure(self, figure: Figure, caption: str = "", title: str = "") -> Report:
        """Add a chart as inline SVG."""
        self._num_figures += 1
        svg = charts.figure_svg(figure, prefix=f"f{self._num_figures}-")
        width = round(figure.get_size_inches()[0] * 96)
        return self._add(kind="figure", svg=svg, caption=caption, title=title, width=width)

    def add_video(self, path: str | Path, caption: str = "") -> Report:
        """Add a video (.mp4, .webm); its bytes are embedded in the page, so it should be short.

        Raises:
            UsageError: no such file, or a format that browsers do not play.
        """
        path = Path(path)
        mime = _MIMES.get(path.suffix.lower())
        if mime is None or not path.is_file():
            do = f"give a file ending in {' or '.join(_MIMES)}"
            raise UsageError("cannot embed this video in a report", path, do)
        return self._add(kind="video", mime=mime, data=base64.b64encode(path.read_bytes()).decode(), caption=caption)

    def html(self) -> str:
        """The page as text."""
        import jinja2

        loader = jinja2.PackageLoader("kinema.evaluation", "")
        page = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True).get_template("report.html.jinja")
        return page.render(title=self.title, subtitle=self.subtitle, sections=self._sections, version=__version__)

    def write(self, path: str | Path) -> None:
        """Write the page, completely or not at all.

        Raises:
            OutputError: it could not be written.
        """
        write_text(path, self.html())

    def _add(self, **part: object) -> Report:
        if not self._sections:
            self.add_section()
        self._sections[-1].parts.append(part)
        return self


def evaluation_report(evaluation: Judgement, title: str = "Evaluation", subtitle: str = "") -> Report:
    """The report of one evaluation."""
    subtitle = subtitle or f"{evaluation.num_videos} videos, protocol {evaluation.protocol}"
    return add_evaluation(Report(title, subtitle), evaluation)


FILES = ("evaluation.json", "per_class.csv", "predictions.csv", "report.html")
"""The files that `save` writes."""


def save(
    evaluation: Judgement, folder: str | Path, title: str = "Evaluation", about: Mapping[str, object] | None = None
) -> None:
    """Write evaluation.json, per_class.csv, predictions.csv and report.html, each completely or not at all.

    Args:
        evaluation: the evaluation.
        folder: the folder of the files.
        title: title of the report.
        about: further entries of evaluation.json, such as the model's name.
    """
    folder = Path(folder)
    write_json(folder / "evaluation.json", {**evaluation.to_json(), **(about or {})})
    write_text(folder / "per_class.csv", classes_csv(evaluation.classes))
    write_text(folder / "predictions.csv", evaluation.videos_csv())
    evaluation_report(evaluation, title).write(folder / "report.html")


def add_evaluation(report: Report, evaluation: Judgement) -> Report:
    """Add the sections of one evaluation: figures, classes, confusion, worst mistakes, failures."""
    tiles = []
    for key, name in shown(evaluation).items():
        low_high = evaluation.intervals.get(key)
        remark = f"[{low_high[0]:.3f}, {low_high[1]:.3f}]" if low_high else ""
        for way, value in baseline_figures(evaluation, key).items():
            remark += f" · {way} {value:.3f}"
        tiles.append((name, f"{evaluation.figures[key]:.3f}", remark))
    report.add_section("Result").add_tiles(tiles)
    for warning in warnings(evaluation):
        report.add_text(f"Note: {warning}.")
    failed = f" {evaluation.num_failed} more could not be read." if evaluation.num_failed else ""
    report.add_text(f"Scored: {counted(evaluation)}, {evaluation.views}.{failed}", soft=True)
    for line in legend(evaluation):
        report.add_text(line, soft=True)
    rows = [[c.label, c.n, *((c.precision, c.recall, c.f1) if c.n else (None,) * 3)] for c in evaluation.classes]
    if rows:
        heads = ["class", evaluation.unit, "precision", "recall", "F1"]
        report.add_section("Classes").add_table(heads, rows, shares=heads[2:])
    if evaluation.confusion is not None:
        figure = charts.confusion_matrix(evaluation.confusion, evaluation.labels)
        report.add_section("Confusion").add_figure(figure, "Rows are the true classes, columns the predicted ones.")
    _add_mistakes(report, evaluation)
    return report


def _add_mistakes(report: Report, evaluation: Judgement) -> None:
    mistakes = [[m.key, ", ".join(m.true), m.predicted, m.score] for m in evaluation.mistakes()]
    if mistakes:
        heads = ["video", "true", "predicted", "score"]
        report.add_section("Worst mistakes").add_table(heads, mistakes, shares=("score",))
        report.add_text(evaluation.mistakes_note, soft=True)
    if evaluation.failures:
        failures = [[failed.key, failed.error] for failed in evaluation.failures]
        report.add_section("Files that could not be read").add_table(["video", "error"], failures)


def add_training(report: Report, epochs: Sequence[Mapping[str, object]], title: str = "Training") -> Report:
    """Add the training curves of a run; each epoch is a mapping of numbers."""
    return report.add_section(title).add_figure(charts.curves(epochs)) if epochs else report


def add_comparison(report: Report, runs: Mapping[str, Judgement], figure: str = "video_hit_at_1") -> Report:
    """Add a comparison of networks on the same videos: bars with intervals for one figure, and a table of all figures."""
    bars = [(name, run[figure], *run.intervals.get(figure, (run[figure],) * 2)) for name, run in runs.items()]
    shown = [name for name in FIGURE_NAMES if all(name in run.figures for run in runs.values())]
    heads = ["network", *(FIGURE_NAMES[name] for name in shown)]
    rows = [[name, *(run.figures[key] for key in shown)] for name, run in runs.items()]
    report.add_section("Comparison").add_figure(charts.bars(bars), f"{FIGURE_NAMES[figure]} with 95 % intervals")
    return report.add_table(heads, rows, shares=heads[1:])


def _cell(value: object, numeric: bool, *, is_share: bool) -> dict[str, object]:
    """Text, CSS classes and the length of the bar in percent (None without a bar) of a table's cell."""
    text, bar = "" if value is None else str(value), None
    if is_share and isinstance(value, int | float):
        bar = round(100 * min(max(float(value), 0.0), 1.0), 1)
    if isinstance(value, float):
        text = f"{value:.3f}" if bar is not None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    style = ["num"] if numeric else ["long"] if len(text) > _MAX_UNBROKEN else []
    return {"text": text, "style": " ".join([*style, "share"] if bar is not None else style), "share": bar}
