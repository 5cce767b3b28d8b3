"""`Localization`: which actions happen in a video, and when, with its text formats and chart. Imports no torch."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import FileFormat, Way
from kinema.errors import UsageError
from kinema.files import write_json, write_text
from kinema.located_formats import boris, elan
from kinema.predictions import Prediction, Segment
from kinema.text import json_line
from kinema.types import TimeSpan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kinema.lanes import Curves

ENDINGS: Mapping[FileFormat, str] = {
    "json": ".json", "csv": ".csv", "srt": ".srt", "vtt": ".vtt", "elan": ".eaf", "boris": ".tsv", "png": ".png",
    "svg": ".svg", "pdf": ".pdf",
}  # fmt: skip
"""The file ending of each format that has a file for each video."""

_PICTURES = ("png", "svg", "pdf")


@dataclass(frozen=True, slots=True, eq=False)
class Localization:
    """Located actions of a video.

    Segments of different labels may overlap if the network scores each class on its own; no segment at all is a normal answer.

    Args:
        prediction: path, labels, segments, scores and, for way "clips", the timeline. For the other ways, the scores of the video
            are the highest scores of a segment of each class.
        model: what located them, as the user named it.
        way: "clips" groups the dense scores of a classifier; "two-stage" and "one-stage" are networks for located actions.
    """

    prediction: Prediction
    model: str
    way: Way

    def __repr__(self) -> str:
        """One line with the number of segments; `to_json()` has everything."""
        length = f"{self.span.duration_s:.1f} s"
        return f"Localization({self.path!r}: {length}, {len(self.segments)} segments, {self.way})"

    def _repr_html_(self) -> str:
        """What a notebook displays: the chart of `plot`, and its path."""
        from kinema.charts import figure_svg

        name = f"<div><code>{html.escape(self.path)}</code> {self.span.duration_s:.1f} s</div>"
        return f'<div style="max-width: 60em">{name}{figure_svg(self.plot(), f"l{id(self)}")}</div>'

    @property
    def path(self) -> str:
        """The video."""
        return self.prediction.path

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The actions, by ascending start."""
        return self.prediction.segments

    @property
    def labels(self) -> tuple[str, ...]:
        """All classes of the network."""
        return self.prediction.labels

    @property
    def span(self) -> TimeSpan:
        """The length of the video."""
        return self.prediction.span

    @property
    def damage(self) -> str:
        """The part of the video that could not be decoded, if any."""
        return self.prediction.damage

    def to_json(self, top: int = 5) -> dict[str, object]:
        """The document of a prediction, and "model" and "way"."""
        return {**self.prediction.to_json(top), "model": self.model, "way": self.way}

    def to_text(self, kind: FileFormat) -> str:
        """The segments in one of the text formats.

        Raises:
            UsageError: a picture has no text.
        """
        if kind == "json":
            return json_line(self.to_json())
        if kind in ("csv", "srt", "vtt"):
            return self.prediction.to_text(kind)
        writers: dict[str, Callable[[Prediction], str]] = {"elan": elan, "boris": boris}
        if kind not in writers:
            raise UsageError("a picture has no text", kind, "save it into a file")
        return writers[kind](self.prediction)

    def save(self, path: str | Path) -> None:
        """Write a file; its ending chooses the format: .json, .csv, .srt, .vtt, .eaf (ELAN), .tsv (BORIS), .png, .svg or .pdf.

        Raises:
            UsageError: another ending.
            OutputError: the file cannot be written.
        """
        ending = Path(path).suffix.lower()
        kinds = {own: kind for kind, own in ENDINGS.items()}
        if ending not in kinds:
            raise UsageError("cannot choose a format by this ending", path, f"use one of {', '.join(kinds)}")
        kind = kinds[ending]
        if kind in _PICTURES:
            from kinema.charts import save_figure

            save_figure(self.plot(), path)
        elif kind == "json":
            write_json(path, self.to_json())
        else:
            write_text(path, self.to_text(kind))

    def plot(self, colours: Mapping[str, str] | None = None) -> Figure:
        """Draw a lane for each label that was found, with its segments and its score over time.

        Args:
            colours: by label; None is the colour of the label's index, as in every other chart (`charts.class_colours`).
        """
        from kinema.lanes import lanes

        spans = [(one.span.start_s, one.span.end_s, one.label, one.score) for one in self.segments]
        title = Path(self.path).name
        return lanes(spans, self.labels, self.span.duration_s, self._curves(), title=title, colours=colours)

    def _curves(self) -> Curves:
        """Scores over time of the labels that were found, or of the best ones if none was."""
        timeline = self.prediction.timeline
        if timeline is None or len(timeline) < 2:
            return {}
        shown = {segment.label for segment in self.segments} or {label for label, _ in self.prediction.top(5)}
        columns = {label: column for column, label in enumerate(timeline.labels) if label in shown}
        return {label: (timeline.times_s, timeline.scores[:, column]) for label, column in columns.items()}
