"""The records that every layer shares: videos, time spans, examples, and how a network wants its input. No torch.

Records are frozen and check themselves. Units end a name: `_s` seconds, `_px` pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from kinema.choices import FLOW_METHODS


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
