"""Predictions of networks for videos: scores over time, segments, and their text formats. Imports no torch.

Axes of arrays stand in brackets. Units end a name: `_s` seconds, `_px` pixels.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kinema import formats
from kinema.errors import KinemaError, MissingExtra, UsageError
from kinema.files import write_json, write_text
from kinema.text import json_line
from kinema.types import TimeSpan

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from pandas import DataFrame

_SUBTITLES_AND_TABLES: dict[str, Literal["csv", "srt", "vtt"]] = {".csv": "csv", ".srt": "srt", ".vtt": "vtt"}


@dataclass(frozen=True, slots=True)
class Segment:
    """An action with start and end."""

    span: TimeSpan
    label: str
    score: float

    def to_json(self) -> dict[str, object]:
        """As `{"start_s", "end_s", "label", "score"}`."""
        return {
            "start_s": round(self.span.start_s, 3),
            "end_s": round(self.span.end_s, 3),
            "label": self.label,
            "score": round(self.score, 4),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Scores over the time of a video, one row for each of n clips.

    `times_s` [n] are the centres of the clips, `spans_s` [n 2] their starts and ends. `scores` [n classes] are after softmax and
    smoothing, `raw` [n classes] before smoothing. `rolling` is the number of averaged predictions.
    """

    scores: NDArray[np.float32]
    times_s: NDArray[np.float64]
    spans_s: NDArray[np.float64]
    labels: tuple[str, ...]
    raw: NDArray[np.float32]
    rolling: int = 1

    def __post_init__(self) -> None:
        if self.scores.shape != (len(self.times_s), len(self.labels)) or self.raw.shape != self.scores.shape:
            raise ValueError(
                f"{self.scores.shape=} {self.raw.shape=} do not fit {len(self.times_s)=}, {len(self.labels)=}"
            )

    def __repr__(self) -> str:
        """One line with the numbers of rows and classes."""
        return f"Timeline({len(self)} times x {len(self.labels)} classes, rolling={self.rolling})"

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def cells_s(self) -> NDArray[np.float64]:
        """The times that predictions stand for [n 2]: up to the midpoints to their neighbours; the outer ones as their clips."""
        middle = (self.times_s[1:] + self.times_s[:-1]) / 2
        edges = np.concatenate([self.spans_s[:1, 0], middle, self.spans_s[-1:, 1]])
        return np.stack([edges[:-1], edges[1:]], axis=1)

    @property
    def top_labels(self) -> list[str]:
        """The best label of each row."""
        return [self.labels[index] for index in self.scores.argmax(axis=1)]

    def changes_per_minute(self, smoothed: bool = True) -> float:
        """Changes of the best label per minute (flicker), after or before smoothing."""
        best = (self.scores if smoothed else self.raw).argmax(axis=1)
        length_s = float(self.spans_s[-1, 1] - self.spans_s[0, 0]) if len(self) else 0.0
        return float((best[1:] != best[:-1]).sum()) * 60 / length_s if length_s > 0 else 0.0

    def to_pandas(self) -> DataFrame:
        """A row for each clip: time_s, start_s, end_s, the best label, and a column of scores for each class.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra("data frames", "pandas", "pandas") from error
        times = {"time_s": self.times_s, "start_s": self.spans_s[:, 0], "end_s": self.spans_s[:, 1]}
        table = pandas.DataFrame({**times, "label": self.top_labels})
        return pandas.concat([table, pandas.DataFrame(self.scores, columns=list(self.labels))], axis=1)

    def to_json(self) -> dict[str, object]:
        """As `{"times_s", "labels", "scores", …}`."""
        return {
            "times_s": [round(float(t), 3) for t in self.times_s],
            "labels": list(self.labels),
            "scores": [[round(float(s), 4) for s in row] for row in self.scores],
            "rolling": self.rolling,
            "label_changes_per_minute": round(self.changes_per_minute(), 2),
            "label_changes_per_minute_raw": round(self.changes_per_minute(smoothed=False), 2),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The prediction of a network for one video.

    `scores` [classes] are for the whole video or span, `timeline` holds the scores over time, and `segments` are its parts of one
    label. `damage` describes the part of the video that could not be decoded, if any. `fast_seek` says which frames were
    skipped on purpose: "none", "nonref" (frames that no other frame depends on) or "keyframes" (all but keyframes).
    """

    path: str
    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    span: TimeSpan
    timeline: Timeline | None = None
    segments: tuple[Segment, ...] = field(default=())
    damage: str = ""
    fast_seek: str = "none"

    def __post_init__(self) -> None:
        if self.scores.shape != (len(self.labels),):
            raise ValueError(f"{self.scores.shape=} does not fit {len(self.labels)} labels")

    def __repr__(self) -> str:
        """One line with the best label; `to_json()` has everything."""
        seen = f"{self.label} {self.scores.max():.1%}, {self.span.duration_s:.1f} s, {len(self.segments)} segments"
        return f"Prediction({self.path!r}: {seen})"

    def _repr_html_(self) -> str:
        """What a notebook displays: the chart of `plot`, and its path."""
        from kinema.charts import figure_svg

        name = f"<div><code>{html.escape(self.path)}</code> {self.span.duration_s:.1f} s</div>"
        return f'<div style="max-width: 60em">{name}{figure_svg(self.plot(), f"p{id(self)}")}</div>'

    @property
    def label(self) -> str:
        """The best label."""
        return self.labels[int(self.scores.argmax())]

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k best labels and their scores, best first."""
        order = np.argsort(-self.scores, kind="stable")[:k]
        return [(self.labels[index], float(self.scores[index])) for index in order]

    def to_json(self, top: int = 5) -> dict[str, object]:
        """A plain dictionary: path, duration_s, top, timeline, segments; damage and fast_seek only if they say something."""
        return {
            "path": self.path,
            "duration_s": round(self.span.duration_s, 3),
            "top": [{"label": label, "score": round(score, 4)} for label, score in self.top(top)],
            "timeline": None if self.timeline is None else self.timeline.to_json(),
            "segments": [segment.to_json() for segment in self.segments],
            **({"damage": self.damage} if self.damage else {}),
            **({"fast_seek": self.fast_seek} if self.fast_seek != "none" else {}),
        }

    def to_text(self, kind: Literal["json", "csv", "srt", "vtt"]) -> str:
        """The prediction in one of four text formats; CSV, SRT and WebVTT contain the segments."""
        if kind == "json":
            return json_line(self.to_json())
        if kind == "csv":
            rows = [[self.path, *segment.to_json().values()] for segment in self.segments]
            return formats.table_csv(["path", "start_s", "end_s", "label", "score"], rows)
        cues = [(s.span.start_s, s.span.end_s, f"{s.label} ({s.score:.0%})") for s in self.segments]
        return formats.srt(cues) if kind == "srt" else formats.webvtt(cues)

    def save(self, path: str | Path) -> None:
        """Write a file; its ending chooses the format: .json, .csv, .srt, .vtt, or .png/.svg/.pdf for the plot.

        Raises:
            UsageError: another ending.
            OutputError: the file cannot be written.
        """
        ending = Path(path).suffix.lower()
        if ending == ".json":
            write_json(path, self.to_json())
        elif ending in _SUBTITLES_AND_TABLES:
            write_text(path, self.to_text(_SUBTITLES_AND_TABLES[ending]))
        elif ending in (".png", ".svg", ".pdf"):
            from kinema.charts import save_figure

            save_figure(self.plot(), path)
        else:
            do = "use .json, .csv, .srt, .vtt, .png, .svg or .pdf"
            raise UsageError("cannot choose a format by this ending", path, do)

    def plot(self, top: int = 5, colours: Mapping[str, str] | None = None) -> Figure:
        """Draw the timeline of the best labels above a ribbon of the segments; bars if there is only one time.

        Args:
            top: number of labels.
            colours: by label; None is the colour of the label's index, as in every other chart (`charts.class_colours`).
        """
        from kinema import charts

        best, title, track = self.top(top), Path(self.path).name, self.timeline
        colours = colours or charts.class_colours(self.labels)
        if track is None or len(track) < 2:
            return charts.bars([(label, score, score, score) for label, score in best], title=title, colours=colours)
        columns = [self.labels.index(label) for label, _ in best]
        spans = [(segment.span.start_s, segment.span.end_s, segment.label) for segment in self.segments]
        return charts.timeline(
            track.times_s, track.scores[:, columns], [label for label, _ in best], spans,
            raw=track.raw[:, columns] if track.rolling > 1 else None, title=title, colours=colours,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """A file without a prediction, and the reason."""

    path: str
    error: KinemaError

    def to_json(self) -> dict[str, str]:
        """As a dictionary of `path` and `error`."""
        return {"path": self.path, "error": str(self.error)}
