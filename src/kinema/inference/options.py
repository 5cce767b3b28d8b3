"""Options of prediction and of feature extraction, which travel whole from a command's flags to the loop.

Each dataclass has a `TypedDict` of the same fields, so that editors complete and type checkers check the keyword
arguments of `Predictor`; a test compares the two. This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, Unpack

from kinema.choices import FAST_SEEKS, POOLINGS, FastSeek, Pooling
from kinema.clips.windows import WindowOptions
from kinema.errors import UnknownName, UsageError, check_settings, with_options
from kinema.localization.smoothing import check_size
from kinema.types import IMAGE_FPS


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictOptions:
    """How a video is predicted.

    Args:
        rolling: number of predictions in the rolling average, centred on each time; 1 is off.
        rolling_causal: average the last `rolling` predictions instead, as in a live stream; borders are then late.
        step_s: seconds between predictions; None chooses by the network's clip length.
        window_s: for networks that spread their frames, the length of video in a window; None is the network's own.
        num_clips: clips of each window for spread networks; least number of clips of a video for dense networks.
        num_crops: 1 (centre) or 3 (left, centre, right), whose scores are averaged.
        min_segment_s: shorter segments are merged into their neighbours.
        min_score: times with a lower best score belong to no segment.
        fast_seek: "none" decodes all needed frames. "nonref" skips frames that no other frame refers to, "keyframes" all
            but keyframes; the nearest earlier decoded frame replaces a skipped frame.
        share_frames: encode each frame once, if the network encodes frames alone and windows overlap; False computes
            whole clips, for comparison.
        readers: videos that are read at the same time; None chooses by cores and device.
        decode_threads: threads of each video's decoder; None chooses by the size of its frames.
        image_fps: frame rate of folders of pictures.
    """

    rolling: int = 1
    rolling_causal: bool = False
    step_s: float | None = None
    window_s: float | None = None
    num_clips: int = 1
    num_crops: int = 1
    min_segment_s: float = 0.0
    min_score: float = 0.0
    fast_seek: FastSeek = "none"
    share_frames: bool = True
    readers: int | None = None
    decode_threads: int | None = None
    image_fps: float = IMAGE_FPS

    def __post_init__(self) -> None:
        check_size(self.rolling)
        check_settings({"image_fps": self.image_fps}, 1e-3, 1e4)
        check_settings({"readers": self.readers, "decode_threads": self.decode_threads}, 1)
        if self.fast_seek not in FAST_SEEKS:
            raise UnknownName("fast seek", self.fast_seek, FAST_SEEKS)
        self.windows()

    def windows(self) -> WindowOptions:
        """The options that place windows."""
        return WindowOptions(self.step_s, self.num_clips, self.window_s)

    @classmethod
    def of(cls, options: PredictOptions | None = None, **overrides: Unpack[PredictOverrides]) -> PredictOptions:
        """Change some fields of options; None stands for the defaults."""
        return with_options(options or cls(), overrides)


class PredictOverrides(TypedDict, total=False):
    """The fields of `PredictOptions` as keyword arguments."""

    rolling: int
    rolling_causal: bool
    step_s: float | None
    window_s: float | None
    num_clips: int
    num_crops: int
    min_segment_s: float
    min_score: float
    fast_seek: FastSeek
    share_frames: bool
    readers: int | None
    decode_threads: int | None
    image_fps: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureOptions:
    """Which clips of a video, and which vector of each.

    Args:
        layer: name of a module; None is the network's own features.
        pool: how maps become a vector: "mean", "max" or "none".
        step_s: seconds between clips; None chooses by the network's clip length.
        window_s: for networks that spread their frames, the length of video in a window; None is the network's own.
        image_fps: frame rate of folders of pictures.
    """

    layer: str | None = None
    pool: Pooling = "mean"
    step_s: float | None = None
    window_s: float | None = None
    image_fps: float = IMAGE_FPS

    def __post_init__(self) -> None:
        check_settings({"image_fps": self.image_fps}, 1e-3, 1e4)
        if self.pool not in POOLINGS:
            raise UnknownName("way to pool", self.pool, POOLINGS)

    @classmethod
    def of(cls, options: FeatureOptions | None = None, **overrides: Unpack[FeatureOverrides]) -> FeatureOptions:
        """Change some fields of options; None stands for the defaults."""
        return with_options(options or cls(), overrides)


class FeatureOverrides(TypedDict, total=False):
    """The fields of `FeatureOptions` as keyword arguments."""

    layer: str | None
    pool: Pooling
    step_s: float | None
    window_s: float | None
    image_fps: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizeOptions:
    """How actions are located. None keeps what the checkpoint says, or the usual.

    Args:
        smoothing_s: standard deviation of the Gaussian that smooths scores over time; 0 smooths nothing.
        threshold: least score of a segment.
        min_segment_s: shorter segments are left out.
        max_gap_s: segments of one label with a gap of at most this are joined.
        background: labels that are never answered.
        step_s: seconds between predictions; None chooses by the network's clip length.
        window_s: for networks that spread their frames, the length of video in a window; None is the network's own.
        num_crops: 1 (centre) or 3 (left, centre, right), whose scores are averaged.
        fast_seek: see `PredictOptions`.
        image_fps: frame rate of folders of pictures.
        feature_cache: for networks of task segments, a folder that keeps features; None keeps none.
        readers: videos that are read at the same time; None chooses by cores and device.
        decode_threads: threads of each video's decoder; None chooses by the size of its frames.
    """

    smoothing_s: float | None = None
    threshold: float | None = None
    min_segment_s: float | None = None
    max_gap_s: float | None = None
    background: tuple[str, ...] | None = None
    step_s: float | None = None
    window_s: float | None = None
    num_crops: int = 1
    fast_seek: FastSeek = "none"
    image_fps: float = IMAGE_FPS
    feature_cache: str | None = None
    readers: int | None = None
    decode_threads: int | None = None

    def __post_init__(self) -> None:
        lengths = {"smooth": self.smoothing_s, "min_segment": self.min_segment_s, "max_gap": self.max_gap_s}
        check_settings(lengths, 0, 1e9)
        check_settings({"threshold": self.threshold}, -1e9, 1e9)
        _ = self.predict

    @property
    def predict(self) -> PredictOptions:
        """The options of the dense scores."""
        return PredictOptions(
            step_s=self.step_s, window_s=self.window_s, num_crops=self.num_crops, fast_seek=self.fast_seek,
            image_fps=self.image_fps, readers=self.readers, decode_threads=self.decode_threads,
        )  # fmt: skip

    def check_located(self, network: str) -> None:
        """Make sure that no option is given that has no meaning for a network of task segments.

        Raises:
            UsageError: one is given; says which.
        """
        given = {
            "--smooth": self.smoothing_s is not None, "--max-gap": self.max_gap_s is not None,
            "--step": self.step_s is not None, "--window": self.window_s is not None, "--crops": self.num_crops != 1,
            "--fast-seek": self.fast_seek != "none",
        }  # fmt: skip
        if wrong := [flag for flag, is_given in given.items() if is_given]:
            what = f"{', '.join(wrong)}: for classifiers of clips or frames only"
            raise UsageError(
                what, network, "leave it out: this network learned borders, and sees features at its own step"
            )

    @classmethod
    def of(cls, options: LocalizeOptions | None = None, **overrides: Unpack[LocalizeOverrides]) -> LocalizeOptions:
        """Change some fields of options; None stands for the defaults."""
        return with_options(options or cls(), overrides)


class LocalizeOverrides(TypedDict, total=False):
    """The fields of `LocalizeOptions` as keyword arguments."""

    smoothing_s: float | None
    threshold: float | None
    min_segment_s: float | None
    max_gap_s: float | None
    background: tuple[str, ...] | None
    step_s: float | None
    window_s: float | None
    num_crops: int
    fast_seek: FastSeek
    image_fps: float
    feature_cache: str | None
    readers: int | None
    decode_threads: int | None
