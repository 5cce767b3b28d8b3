"""The records that all layers share: videos, time spans, examples, and the input of a network. Imports no torch.

Records are frozen and check themselves. Units end a name: `_s` seconds, `_px` pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal, TypedDict, Unpack, cast

from kinema.choices import FLOW_METHODS, Resize, Sampling, Spacing

IMAGE_FPS = 25.0
"""Frame rate of folders of pictures, if none is given."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Properties of a video, known without decoding it. Height and width are those displayed, after rotation."""

    path: str
    num_frames: int
    fps: float
    duration_s: float
    height: int
    width: int


@dataclass(frozen=True, slots=True, order=True)
class TimeSpan:
    """A half-open time interval, [start_s, end_s)."""

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
    """One labelled file, or a span of it. Listing examples does not decode them.

    `labels` has several names if the video has several labels, and none if no action of the data set happens in it, which is
    possible only where actions have a start and an end. `group` names the source (an original film, a camera): a split never
    divides a group. `split` is "train", "valid", "test", or None if the data set has no parts.
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
"""The pixel value of "no motion" in a flow channel. It must be an integer: 127.5, the middle of the range, is none."""

FLOW_MOST_PX = 20.0
"""Displacements are clipped at this value (Carreira and Zisserman 2017), which is stored as pixel values 1 and 255."""


MOST_SIDE, MOST_PIXELS, MOST_CHANNELS = 1 << 14, 1 << 27, 5
"""The longest side of a frame, and the pixels and channels of a clip: 1.6 GB as RGB numbers of 32 bits."""

Modality = Literal["rgb", "flow", "rgb+flow"]


def _are_numbers(values: Iterable[Any], least: float, kind: type[Any] = Real) -> bool:
    """Whether all are finite numbers of that kind from `least` on; a truth value is none."""
    return all(
        isinstance(value, kind) and not isinstance(value, bool) and least <= value < math.inf for value in values
    )


class InputChanges(TypedDict, total=False):
    """The fields of `InputSpec`, for `InputSpec.with_`."""

    clip_len: int
    frame_stride: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sampling: Sampling
    fps: float | None
    resize: Resize
    short_side: int
    window_s: float | None
    modality: Modality
    flow: str
    squeezed: tuple[int, int] | None
    spacing: Spacing


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The input of a network: how clips are sampled, scaled and normalised. It is stored with the weights.

    Args:
        clip_len: T, the number of frames of a clip.
        frame_stride: tau, the distance of the sampled frames ("8x8" is T x tau). Counted at `fps` if that is set.
        size: height and width of the network's input in pixels.
        mean, std: normalisation of each channel, on a scale of 0 to 1.
        sampling: "dense" samples T frames at distance tau; "spread" spreads T frames evenly over the whole video or span (TSN's
            snippets, Wang et al. 2016), whatever its length or frame rate.
        fps: frame rate at which strides are counted, by timestamp; None counts the frames of the file.
        resize: "crop" scales frames and cuts out the centre, "stretch" scales the whole frame to `size`.
        short_side: length of the short side in pixels before the crop; 0 makes it as large as the crop.
        squeezed: height and width, at least `size`, to which the frame is scaled before the crop, as in the original C3D and in
            torchvision; None keeps the aspect ratio.
        window_s: for "spread", the usual length in seconds of the training videos; longer videos are divided into windows of
            this length. None takes the whole video at once.
        modality: "rgb" (3 channels), "flow" (2: u to the right, v downwards) or "rgb+flow" (5, in this order). The flow of a
            frame is its displacement to the next frame of the file, in pixels of the size at which it was computed,
            whatever the stride; the value 128 means no displacement, 1 and 255 mean 20 pixels in either direction.
        flow: method of the optical flow, one of `FLOW_METHODS`; empty for "rgb"; otherwise "dis" by default.
        spacing: frames of a "dense" clip. "stride": exactly tau apart. "even": evenly from the first to the last of T x tau
            frames, rounded down, as PyTorchVideo and PySlowFast show them; of K clips of a video, clip k starts at k / K of
            the latest start, so that none ends with the video.
    """

    clip_len: int = 16
    frame_stride: int = 1
    size: tuple[int, int] = (112, 112)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    sampling: Sampling = "dense"
    fps: float | None = None
    resize: Resize = "crop"
    short_side: int = 0
    window_s: float | None = None
    modality: Modality = "rgb"
    flow: str = ""
    squeezed: tuple[int, int] | None = None
    spacing: Spacing = "stride"

    def __post_init__(self) -> None:
        if not _are_numbers((self.clip_len, self.frame_stride, *self.size), 1, Integral) or len(self.size) != 2:
            raise ValueError(f"an input needs positive sizes, got {self.clip_len=}, {self.frame_stride=}, {self.size=}")
        if math.prod(self.size) * self.clip_len > MOST_PIXELS or self.frame_stride > MOST_PIXELS:
            raise ValueError(f"clips of {self.clip_len} frames of {self.size} are too large for any memory")
        if not _are_numbers(self.mean, -1e6) or not _are_numbers(self.std, 1e-9) or len(self.mean) != len(self.std):
            raise ValueError(f"mean and std need one positive value a channel, got {self.mean=}, {self.std=}")
        if not 1 <= len(self.mean) <= MOST_CHANNELS:
            raise ValueError(f"a clip has 1 to {MOST_CHANNELS} channels, got {len(self.mean)} values of mean and std")
        self._check_scaling()
        self._check_modality()

    def _check_scaling(self) -> None:
        if not _are_numbers([self.short_side], 0, Integral) or self.short_side > MOST_SIDE:
            raise ValueError(f"a side has 0 to {MOST_SIDE} pixels, got {self.short_side=}")
        if not _are_numbers([value for value in (self.fps, self.window_s) if value is not None], 1e-6):
            raise ValueError(f"a rate and a length of time are positive, got {self.fps=}, {self.window_s=}")
        if self.sampling not in ("dense", "spread") or self.resize not in ("crop", "stretch"):
            raise ValueError(f"unknown {self.sampling=} or {self.resize=}")
        if self.spacing not in ("stride", "even"):
            raise ValueError(f"unknown {self.spacing=}")
        if self.squeezed is not None and (
            not _are_numbers(self.squeezed, 1, Integral)
            or len(self.squeezed) != 2
            or max(self.squeezed) > MOST_SIDE
            or self.squeezed[0] < self.size[0]
            or self.squeezed[1] < self.size[1]
        ):
            raise ValueError(f"{self.size} cannot be cut out of {self.squeezed=}")

    def _check_modality(self) -> None:
        if self.modality not in ("rgb", "flow", "rgb+flow") or not isinstance(self.flow, str):
            raise ValueError(f"unknown {self.modality=} or {self.flow=}")
        if not self.has_flow:
            if self.flow:
                raise ValueError(f"a network for RGB has no optical flow input, got {self.flow=}")
            return
        if len(self.mean) != (2 if self.modality == "flow" else 5):
            raise ValueError(f"flow has 2 channels, RGB and flow have 5, got {self.modality=}, {self.mean=}")
        if not self.flow:
            object.__setattr__(self, "flow", FLOW_METHODS[0])
        if self.flow not in FLOW_METHODS:
            raise ValueError(f"unknown {self.flow=}, known are {', '.join(FLOW_METHODS)}")

    @property
    def span(self) -> int:
        """Number of frames from the first to the last of a dense clip: clip_len=4, frame_stride=2 is f.f.f.f, span 7."""
        return self.offsets[-1] + 1

    @property
    def offsets(self) -> tuple[int, ...]:
        """The frames of a dense clip [t], counted from its first one.

        >>> InputSpec(clip_len=4, frame_stride=12).offsets, InputSpec(clip_len=4, frame_stride=12, spacing="even").offsets
        ((0, 12, 24, 36), (0, 15, 31, 47))
        """
        if self.spacing == "stride" or self.clip_len == 1:
            return tuple(place * self.frame_stride for place in range(self.clip_len))
        last = self.clip_len * self.frame_stride - 1
        return tuple(place * last // (self.clip_len - 1) for place in range(self.clip_len))

    @property
    def num_channels(self) -> int:
        """3 for RGB, 2 for flow, 5 for both."""
        return len(self.mean)

    @property
    def has_flow(self) -> bool:
        """Whether the last two channels are optical flow."""
        return self.modality != "rgb"

    def part(self, modality: Literal["rgb", "flow"]) -> InputSpec:
        """The input of one stream of a two-stream network.

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
        """Shape of a clip, [c t h w]."""
        return (self.num_channels, self.clip_len, *self.size)

    def to_json(self) -> dict[str, object]:
        """A plain dictionary, as in model.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> InputSpec:
        """The inverse of `to_json`."""
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return cls(**cast("InputChanges", fields))

    def with_(self, **changes: Unpack[InputChanges]) -> InputSpec:
        """A copy with some fields changed; a change of `size` scales `squeezed` in proportion.

        >>> InputSpec(size=(112, 112), squeezed=(128, 171)).with_(size=(56, 224)).squeezed
        (64, 342)
        """
        if self.squeezed and "size" in changes:
            sides = zip(self.squeezed, changes["size"], self.size, strict=True)
            height, width = (round(side * new / old) for side, new, old in sides)
            changes = {"squeezed": (height, width), **changes}
        return replace(self, **changes)
