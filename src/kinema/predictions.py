"""What networks say of videos: scores over time, located actions, and their text forms. No torch.

Where a field holds an array, its axes stand in brackets. Units end a name: `_s` seconds, `_px` pixels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kinema import formats
from kinema.errors import KinemaError, UsageError
from kinema.files import write_json, write_text
from kinema.types import TimeSpan

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Segment:
    """An action located in time."""

    span: TimeSpan
    label: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """As `{"start_s", "end_s", "label", "score"}`."""
        return {
            "start_s": round(self.span.start_s, 3),
            "end_s": round(self.span.end_s, 3),
            "label": self.label,
            "score": round(self.score, 4),
        }


@dataclass(frozen=True, slots=True)
class Detection:
    """Who does what where, at one moment. `box` is left, top, right, bottom in pixels."""

    box: tuple[float, float, float, float]
    time_s: float
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Tube:
    """Detections of one actor linked over time, in order."""

    detections: tuple[Detection, ...]
    label: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Scores along a video: one row a clip.

    `times_s[i]` is the centre of clip i; `spans_s[i]` what it covers (start, end); `scores` [n classes] are after softmax
    and after smoothing, `raw` [n classes] before smoothing.
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
        """In one line: how many rows of how many classes."""
        return f"Timeline({len(self)} times x {len(self.labels)} classes, rolling={self.rolling})"

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def cells_s(self) -> NDArray[np.float64]:
        """The time that each prediction stands for, [n 2]: up to midway to its neighbours; the outer ones as their clips."""
        middle = (self.times_s[1:] + self.times_s[:-1]) / 2
        edges = np.concatenate([self.spans_s[:1, 0], middle, self.spans_s[-1:, 1]])
        return np.stack([edges[:-1], edges[1:]], axis=1)

    @property
    def top_labels(self) -> list[str]:
        """The best label of each row."""
        return [self.labels[index] for index in self.scores.argmax(axis=1)]

    def changes_per_minute(self, smoothed: bool = True) -> float:
        """How often the best label changes a minute: the flicker, with or without the rolling average."""
        best = (self.scores if smoothed else self.raw).argmax(axis=1)
        length_s = float(self.spans_s[-1, 1] - self.spans_s[0, 0]) if len(self) else 0.0
        return float((best[1:] != best[:-1]).sum()) * 60 / length_s if length_s > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
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
    """What a network says of one video.

    `scores` [classes] are for the whole video or span; `timeline` holds them over time; `segments` are the timeline's
    stretches of one label. `damage` says what of the video could not be seen; it is empty for a whole one. `fast_seek`
    says which frames were left out on purpose: "none", "nonref" (those that no other refers to) or all but "keyframes".
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
        """In one line; what is in it stands in `to_json()`."""
        seen = f"{self.label} {self.scores.max():.1%}, {self.span.duration_s:.1f} s, {len(self.segments)} segments"
        return f"Prediction({self.path!r}: {seen})"

    @property
    def label(self) -> str:
        """The best label."""
        return self.labels[int(self.scores.argmax())]

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k best labels with their scores, best first."""
        order = np.argsort(-self.scores, kind="stable")[:k]
        return [(self.labels[index], float(self.scores[index])) for index in order]

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """A plain dictionary: path, duration_s, top, timeline, segments; damage and fast_seek where there is any."""
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
        """The prediction in one of four text formats; CSV, SRT and WebVTT hold the segments."""
        if kind == "json":
            return json.dumps(self.to_json(), ensure_ascii=False)
        if kind == "csv":
            rows = [[self.path, *segment.to_json().values()] for segment in self.segments]
            return formats.table_csv(["path", "start_s", "end_s", "label", "score"], rows)
        cues = [(s.span.start_s, s.span.end_s, f"{s.label} ({s.score:.0%})") for s in self.segments]
        return formats.srt(cues) if kind == "srt" else formats.webvtt(cues)

    def save(self, path: str | Path) -> None:
        """Write to a file; its ending chooses the format: .json, .csv, .srt, .vtt, or .png/.svg/.pdf for the plot.

        Raises:
            UsageError: an ending that is none of these.
            OutputError: the file could not be written.
        """
        ending = Path(path).suffix.lower().lstrip(".")
        if ending == "json":
            write_json(path, self.to_json())
        elif ending in ("csv", "srt", "vtt"):
            write_text(path, self.to_text(ending))  # type: ignore[arg-type]
        elif ending in ("png", "svg", "pdf"):
            from kinema.charts import save_figure

            save_figure(self.plot(), path)
        else:
            raise UsageError(
                "cannot choose a format by this ending", path, "use .json, .csv, .srt, .vtt, .png, .svg or .pdf"
            )

    def plot(self, top: int = 5, colours: Mapping[str, str] | None = None) -> Figure:
        """Draw the timeline of the best labels over a ribbon of the segments; bars where there is only one moment.

        Args:
            top: how many labels are named.
            colours: by label, where several charts have to agree (`charts.class_colours`); None chooses them here.
        """
        from kinema import charts

        best, title, track = self.top(top), Path(self.path).name, self.timeline
        colours = colours or charts.class_colours([label for label, _ in best])
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
    """A file that could not be predicted, and why."""

    path: str
    error: KinemaError

    def to_json(self) -> dict[str, str]:
        """As a dictionary of `path` and `error`."""
        return {"path": self.path, "error": str(self.error)}
