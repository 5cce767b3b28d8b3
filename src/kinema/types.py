"""The nouns of kinema: small frozen records that check themselves. numpy only, so that pages and stores need no torch.

Where a field holds an array, its axes stand in brackets. Units end a name: `_s` seconds, `_px` pixels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kinema import formats
from kinema.errors import UsageError
from kinema.files import write_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video is, before any pixel is decoded. Height and width are those shown: rotation is already applied."""

    path: str
    num_frames: int
    fps: float
    duration_s: float
    height: int
    width: int


@dataclass(frozen=True, slots=True, order=True)
class TimeSpan:
    """A half-open stretch of time, [start_s, end_s)."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s) and self.start_s < self.end_s):
            raise ValueError(f"a span needs start < end, got {self.start_s=}, {self.end_s=}")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def iou(self, other: TimeSpan) -> float:
        """Temporal intersection over union, 0 to 1."""
        shared = min(self.end_s, other.end_s) - max(self.start_s, other.start_s)
        if shared <= 0:
            return 0.0
        return shared / (self.duration_s + other.duration_s - shared)


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled thing to learn from: a file, or a span of it. Listing is separate from decoding.

    `labels` has several names where a video carries several. `group` names the source (an original film, a camera): a
    split never tears a group apart. `split` is "train", "valid", "test" or None where the data set does not say.
    """

    path: str
    labels: tuple[str, ...]
    span: TimeSpan | None = None
    split: str | None = None
    group: str | None = None

    @property
    def label(self) -> str:
        """The first label."""
        return self.labels[0]

    @property
    def key(self) -> str:
        """Path and span, unique within a data set."""
        return self.path if self.span is None else f"{self.path}[{self.span.start_s:.12g},{self.span.end_s:.12g})"


FLOW_METHODS = ("dis", "farneback", "tvl1", "raft_small", "raft_large")
"""How optical flow can be computed; what one method gives is no substitute for another's."""

FLOW_ZERO = 128
"""The pixel value of "no motion" in a channel of optical flow. It has to be met exactly, which 127.5 cannot be."""

FLOW_MOST_PX = 20.0
"""Displacements are cut off here (Carreira and Zisserman 2017); it is the pixel values 1 and 255."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How a network wants to be fed; it travels with the weights.

    Args:
        clip_len: T, frames in a clip.
        frame_stride: tau, every how-many-th frame of the video is taken ("8x8" is T x tau). Counted at `fps` if that is set.
        size: height and width in pixels that the network sees.
        mean, std: per channel, on a scale of 0 to 1.
        sampling: "dense" takes T frames tau apart; "spread" spreads T frames evenly over the whole video or span (TSN's
            snippets, Wang et al. 2016), whatever its length or frame rate.
        fps: frame rate at which strides are counted, by timestamp; None counts the file's own frames.
        resize: "crop" scales frames and cuts the centre, "stretch" squeezes the whole frame to `size`.
        short_side: short side in pixels before the crop; 0 means as large as the crop.
        squeezed: height and width, no less than `size`, that the frame is squeezed to before the crop, as C3D's authors and
            torchvision do it; None keeps its shape.
        window_s: for "spread", the usual length in seconds of what the network learned from; longer videos are seen in windows
            of it. None means the whole video at once.
        modality: "rgb" (3 channels), "flow" (2: u to the right, v downwards) or "rgb+flow" (5, in this order). The flow of a
            frame is its displacement to the next frame of the file, in pixels of the size at which it was computed,
            whatever stride the clip has; 128 is none, 1 and 255 are 20 pixels to either side.
        flow: how flow is computed, one of `FLOW_METHODS`; empty where there is none, "dis" where none is named.
    """

    clip_len: int = 16
    frame_stride: int = 1
    size: tuple[int, int] = (112, 112)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    sampling: Literal["dense", "spread"] = "dense"
    fps: float | None = None
    resize: Literal["crop", "stretch"] = "crop"
    short_side: int = 0
    window_s: float | None = None
    modality: Literal["rgb", "flow", "rgb+flow"] = "rgb"
    flow: str = ""
    squeezed: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.clip_len < 1 or self.frame_stride < 1 or min(self.size) < 1:
            raise ValueError(f"an input needs positive sizes, got {self.clip_len=}, {self.frame_stride=}, {self.size=}")
        if len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise ValueError(f"mean and std need one positive value a channel, got {self.mean=}, {self.std=}")
        if self.sampling not in ("dense", "spread") or self.resize not in ("crop", "stretch"):
            raise ValueError(f"unknown {self.sampling=} or {self.resize=}")
        if self.squeezed is not None and not _holds(self.squeezed, self.size):
            raise ValueError(f"{self.size} cannot be cut out of {self.squeezed=}")
        self._check_modality()

    def _check_modality(self) -> None:
        if self.modality not in ("rgb", "flow", "rgb+flow"):
            raise ValueError(f"unknown {self.modality=}")
        if not self.has_flow:
            if self.flow:
                raise ValueError(f"a network for RGB sees no optical flow, got {self.flow=}")
            return
        if len(self.mean) != (2 if self.modality == "flow" else 5):
            raise ValueError(f"flow has 2 channels, with RGB 5, got {self.modality=}, {self.mean=}")
        if not self.flow:
            object.__setattr__(self, "flow", FLOW_METHODS[0])
        if self.flow not in FLOW_METHODS:
            raise ValueError(f"unknown {self.flow=}, known are {', '.join(FLOW_METHODS)}")

    @property
    def span(self) -> int:
        """Frames of the video that a dense clip reaches over: clip_len=4, frame_stride=2 is f.f.f.f, span 7."""
        return (self.clip_len - 1) * self.frame_stride + 1

    @property
    def num_channels(self) -> int:
        """3 for RGB, 2 for flow, 5 for both."""
        return len(self.mean)

    @property
    def has_flow(self) -> bool:
        """Whether some channels are optical flow: the last two."""
        return self.modality != "rgb"

    def part(self, modality: Literal["rgb", "flow"]) -> InputSpec:
        """The input of one stream of a network for RGB and flow.

        >>> InputSpec(mean=(0.4,) * 3 + (0.5,) * 2, std=(0.2,) * 5, modality="rgb+flow").part("flow").mean
        (0.5, 0.5)
        """
        if self.modality == modality:
            return self
        if self.modality != "rgb+flow":
            raise ValueError(f"an input of {self.modality} has no part {modality!r}")
        own = slice(None, 3) if modality == "rgb" else slice(3, None)
        flow = self.flow if modality == "flow" else ""
        return self.with_(modality=modality, flow=flow, mean=self.mean[own], std=self.std[own])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Channels, frames, height, width of a clip: [c t h w]."""
        return (self.num_channels, self.clip_len, *self.size)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, as model.json holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> InputSpec:
        """The inverse of `to_json`."""
        arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**arguments)

    def with_(self, **changes: Any) -> InputSpec:
        """A copy with some fields changed; of another size, frames are squeezed in proportion.

        >>> InputSpec(size=(112, 112), squeezed=(128, 171)).with_(size=(56, 224)).squeezed
        (64, 342)
        """
        if self.squeezed and "size" in changes:
            sides = zip(self.squeezed, changes["size"], self.size, strict=True)
            changes = {"squeezed": tuple(round(side * new / old) for side, new, old in sides)} | changes
        return replace(self, **changes)


def _holds(frame: tuple[int, int], crop: tuple[int, int]) -> bool:
    return len(frame) == len(crop) == 2 and frame[0] >= crop[0] and frame[1] >= crop[1]


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

    def plot(self, top: int = 5) -> Figure:
        """Draw the timeline of the best labels (or bars where there is none) as a matplotlib figure."""
        from kinema.charts import plot_prediction

        return plot_prediction(self, top)
