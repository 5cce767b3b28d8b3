"""Settings that several commands share: the data, the network, and the views that judge it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinema.choices import DataFormat, Division, FilePrecision, FlowMethod, Resize, Sampling
from kinema.errors import ConfigError, check_settings
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.labels import Labels
    from kinema.models.network import Network


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The videos, and their division into parts."""

    format: DataFormat = "auto"
    """Format of the data set; auto detects it."""
    image_fps: float = IMAGE_FPS
    """Frame rate of folders of pictures."""
    fold: int = 1
    """The official fold of UCF-101 and HMDB51: 1, 2 or 3."""
    tiers: tuple[str, ...] = ()
    """Tiers of ELAN files that hold actions; default: all that have times of their own."""
    group_by: tuple[str, ...] = ()
    """Manifest columns that together name the source of a video; all videos of a source go into the same part."""
    split: Division = "auto"
    """How to divide the data: by source (groups), at random, or the last files of each class in order (blocks). auto keeps
    the data's own parts; else it divides by source if sources are known, else at random."""
    valid_fraction: float = 0.2
    """Share of the examples in the validation part."""
    valid_groups: tuple[str, ...] = ()
    """Sources that form the validation part, as patterns such as "camera1/*"."""
    split_seed: int = 0
    """Seed of the random division; the same seed gives the same parts."""

    def open(self, path: str, labels: Labels | None = None) -> DataSet:
        """List the data set and divide it into parts."""
        from kinema.datasets import open_data
        from kinema.datasets.splits import split_data

        data = open_data(
            path,
            format=self.format,
            fold=self.fold,
            group_by=self.group_by,
            labels=labels,
            tiers=self.tiers,
            image_fps=self.image_fps,
        )
        return split_data(
            data,
            by=self.split,
            valid_fraction=self.valid_fraction,
            valid_groups=self.valid_groups,
            seed=self.split_seed,
        )


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network and its input."""

    backbone: str | None = None
    """A timm network for the frames, such as resnet50; for video_encoder a transformers encoder, as hf:NAME_OR_FOLDER."""
    pretrained: bool = False
    """Start from the backbone's published weights (downloaded by timm)."""
    backbone_weights: str | None = None
    """Start from this file of backbone weights (.safetensors, or .pth without pickled code)."""
    backbone_args: tuple[str, ...] = ()
    """Arguments for timm, as name=value, such as pad_type=same."""
    model_args: tuple[str, ...] = ()
    """Arguments of the network's constructor, as name=value, such as width=48."""
    clip_len: int | None = None
    """Frames in a clip; default: the network's own."""
    frame_stride: int | None = None
    """Distance between the frames of a clip; default: the network's own."""
    sampling: Sampling | None = None
    """dense: frames --frame-stride apart; spread: frames spread evenly over the whole video."""
    fps: float | None = None
    """Frame rate that --frame-stride counts in, so that motion is equally fast in videos of any frame rate."""
    size: str | None = None
    """Height and width of the input, as 112x112 or 112."""
    resize: Resize | None = None
    """crop: scale frames and cut out the centre; stretch: squeeze the whole frame into the input."""
    mean: tuple[float, ...] = ()
    """Mean of each channel (0 to 1), which is subtracted; default: the network's own."""
    std: tuple[float, ...] = ()
    """Standard deviation of each channel, which is divided by; default: the network's own."""
    flow_method: FlowMethod | None = None
    """Method of the optical flow, default dis. A network can only use the method that it was trained with."""

    def spec_changes(self) -> dict[str, object]:
        """The fields of the network's `InputSpec` that the settings change."""
        given = {
            "clip_len": self.clip_len, "frame_stride": self.frame_stride, "fps": self.fps, "sampling": self.sampling,
            "resize": self.resize, "mean": self.mean or None, "std": self.std or None,
            "size": None if self.size is None else parse_size(self.size), "flow": self.flow_method,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}

    def build(self, name: str, num_classes: int) -> Network:
        """Build the network of that name with these settings."""
        from kinema.models import build

        return build(
            name, num_classes=num_classes, backbone=self.backbone, pretrained=self.pretrained,
            backbone_weights=self.backbone_weights, backbone_args=parse_arguments(self.backbone_args),
            spec=self.spec_changes(), **parse_arguments(self.model_args),
        )  # fmt: skip

    def build_without_weights(self, name: str) -> Network:
        """Build it for two classes and without memory for weights, to find wrong settings at once."""
        from kinema.models import build_without_weights

        return build_without_weights(
            name, num_classes=2, backbone=self.backbone, backbone_args=parse_arguments(self.backbone_args),
            spec=self.spec_changes(), **parse_arguments(self.model_args),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """The views that judge a network, and how they are computed."""

    clips: int = 1
    """Clips of each video whose scores are averaged."""
    crops: int = 1
    """Crops of each clip: 1 (centre) or 3 (left, centre, right)."""
    flips: bool = False
    """Also score the mirror image of each crop."""
    batch_size: int = 16
    """Clips that the network scores at once."""
    workers: int | None = None
    """Processes that decode; default: one for each core but one, at most 8."""
    device: str = "auto"
    """Device of the network: auto, cpu, cuda, cuda:1."""
    precision: FilePrecision = "auto"
    """Number format; auto is bf16 if the machine is fast at it, else f32; int8 is for files exported with it."""
    cache: str | None = None
    """Folder that keeps decoded, resized frames."""
    flow_cache: str | None = None
    """For networks with optical flow: the folder that keeps it; default: .kinema/flow beside the videos."""
    feature_cache: str | None = None
    """For networks of task segments: the folder that keeps the encoder's features; default: .kinema/features beside the
    videos, if training made it."""
    detected: str | None = None
    """For networks of task boxes: a CSV file of detected boxes, which are scored in place of the true ones."""

    def __post_init__(self) -> None:
        check_settings({"clips": self.clips, "batch_size": self.batch_size}, 1)
        check_settings({"workers": self.workers}, 0)
        check_crops(self.crops)


@dataclass(frozen=True, kw_only=True)
class ReelOptions:
    """How clips are joined."""

    background: tuple[str, ...] = ()
    """Classes in which nothing happens, such as no_fight: their clips are joined too, but are no actions."""
    distractors: tuple[str, ...] = ()
    """Classes outside the task: other things that happen. Their clips are no actions either."""
    clips_per_video: tuple[int, int] = (8, 16)
    """Fewest and most clips of a reel; the last reel of a part may be shorter."""
    trim: float = 1.0
    """Smallest share of a clip that is kept: 0.6 keeps a random stretch of 60 to 100 % of each clip."""
    dissolve: tuple[int, int] = (0, 0)
    """Fewest and most frames of the dissolves between clips; 0 is a cut."""
    empty_share: float = 0.1
    """Share of the clips without an action that is set aside for reels in which nothing happens."""
    size: str | None = None
    """Height and width of the reels, as 240x320; default: the most common size of the clips. Others get black borders."""
    fps: float | None = None
    """Frame rate of the reels; default: the most common one of the clips."""
    repeat: int = 1
    """How often each clip is used, each time in another reel or place."""
    reel_seed: int = 0
    """Seed of every random choice."""

    def __post_init__(self) -> None:
        check_settings({"trim": self.trim}, 0.05, 1)
        check_settings({"empty_share": self.empty_share}, 0, 0.9)
        check_settings({"fps": self.fps}, 1, 240)
        check_settings({"repeat": self.repeat}, 1, 1000)
        for name, (fewest, most) in (("clips_per_video", self.clips_per_video), ("dissolve", self.dissolve)):
            check_settings({name: fewest}, 0 if name == "dissolve" else 1)
            if most < fewest:
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option} needs the smaller number first", f"{fewest} {most}", "exchange them")
        if self.size is not None:
            parse_size(self.size)


def check_crops(count: int) -> None:
    """Make sure that `--crops` is 1 or 3.

    Raises:
        ConfigError: it is not.
    """
    if count not in (1, 3):
        raise ConfigError("--crops must be 1 or 3", count, "1 is the centre, 3 are left, centre and right")


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from text: `128x171` is (128, 171), `112` is (112, 112).

    Raises:
        ConfigError: the text is neither.
    """
    numbers = text.lower().split("x")
    if len(numbers) > 2 or not all(number.isdigit() and int(number) for number in numbers):
        raise ConfigError("a size cannot be understood", text, "give HEIGHTxWIDTH, such as 112x112")
    return int(numbers[0]), int(numbers[-1])


def parse_arguments(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Arguments from text: `("width=48", "head=mean")` is `{"width": 48, "head": "mean"}`. Values are JSON, else strings.

    Raises:
        ConfigError: a pair without an equals sign.
    """
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (equals and name):
            raise ConfigError("an argument cannot be understood", pair, "give name=value")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arguments
