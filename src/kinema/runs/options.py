"""Settings that several jobs share: which data, which network, and how it is shown videos when it is judged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinema.choices import DataFormat, Division, FilePrecision, FlowMethod, Resize, Sampling
from kinema.errors import ConfigError, check_settings

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.labels import Labels
    from kinema.models.network import Network


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which videos, and how they are divided."""

    format: DataFormat = "auto"
    """How the data set is laid out; auto looks."""
    fold: int = 1
    """The official fold of UCF-101 and HMDB51: 1, 2 or 3."""
    group_by: tuple[str, ...] = ()
    """Manifest columns that together name the source of a video; a split never tears a source apart."""
    split: Division = "auto"
    """How to divide data that is not divided: by source, at random, or the last files of each class in order (blocks);
    auto keeps the data's own parts, else goes by source where it is known, else at random."""
    valid_fraction: float = 0.2
    """Share of the examples that validation gets."""
    valid_groups: tuple[str, ...] = ()
    """Sources that make up the validation part, as patterns such as "camera1/*"."""
    split_seed: int = 0
    """Start of the random division; the same number gives the same parts."""

    def open(self, path: str, labels: Labels | None = None) -> DataSet:
        """List the data set and divide it into parts."""
        from kinema.datasets import open_data
        from kinema.datasets.splits import split_data

        data = open_data(path, format=self.format, fold=self.fold, group_by=self.group_by, labels=labels)
        return split_data(
            data,
            by=self.split,
            valid_fraction=self.valid_fraction,
            valid_groups=self.valid_groups,
            seed=self.split_seed,
        )


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How a network is built, and how it wants to be fed."""

    backbone: str | None = None
    """A timm network for the frames, such as resnet50; for video_encoder an encoder of transformers, hf:NAME_OR_FOLDER."""
    pretrained: bool = False
    """Start from the backbone's published weights (downloaded by timm)."""
    backbone_weights: str | None = None
    """Start from this file of backbone weights (.safetensors, or .pth without pickled code)."""
    backbone_args: tuple[str, ...] = ()
    """Arguments for timm, as name=value, such as pad_type=same."""
    model_args: tuple[str, ...] = ()
    """Arguments of the network's constructor, as name=value, such as width=48."""
    clip_len: int | None = None
    """Frames in a clip; without it the network's own."""
    frame_stride: int | None = None
    """Every how-many-th frame a clip takes; without it the network's own."""
    sampling: Sampling | None = None
    """dense: frames --frame-stride apart; spread: evenly over the whole video, whatever its length."""
    fps: float | None = None
    """Frame rate at which strides are counted, so that videos of different rates move alike."""
    size: str | None = None
    """Height and width that the network sees, as 112x112 or 112."""
    resize: Resize | None = None
    """crop: scale frames and cut the centre; stretch: squeeze the whole frame to what the network sees."""
    mean: tuple[float, ...] = ()
    """Mean of each channel (0 to 1) that is subtracted; without it the network's own."""
    std: tuple[float, ...] = ()
    """Standard deviation of each channel that is divided by."""
    flow_method: FlowMethod | None = None
    """How a network for optical flow gets it; it learns this one method's and keeps to it. Without this dis."""

    def spec_changes(self) -> dict[str, object]:
        """The fields of the network's `InputSpec` that are given."""
        given = {
            "clip_len": self.clip_len, "frame_stride": self.frame_stride, "fps": self.fps, "sampling": self.sampling,
            "resize": self.resize, "mean": self.mean or None, "std": self.std or None,
            "size": None if self.size is None else parse_size(self.size), "flow": self.flow_method,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}

    def build(self, name: str, num_classes: int) -> Network:
        """Build the network of that name as the settings say."""
        from kinema.models import build

        return build(
            name, num_classes=num_classes, backbone=self.backbone, pretrained=self.pretrained,
            backbone_weights=self.backbone_weights, backbone_args=parse_arguments(self.backbone_args),
            spec=self.spec_changes(), **parse_arguments(self.model_args),
        )  # fmt: skip

    def build_without_weights(self, name: str) -> Network:
        """The same for two classes and without values in its weights, to find wrong settings at once."""
        from kinema.models import build_without_weights

        return build_without_weights(
            name, num_classes=2, backbone=self.backbone, backbone_args=parse_arguments(self.backbone_args),
            spec=self.spec_changes(), **parse_arguments(self.model_args),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """How videos are shown to a network when it is judged."""

    clips: int = 1
    """Clips of each video whose scores are averaged."""
    crops: int = 1
    """Crops of each clip: 1 (centre) or 3 (left, centre, right)."""
    flips: bool = False
    """Show every crop mirrored as well."""
    batch_size: int = 16
    """Clips that go through the network at once."""
    workers: int | None = None
    """Processes that decode; without it one for each core but one, at most 8."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1."""
    precision: FilePrecision = "auto"
    """Number format; auto is bf16 where the machine is fast at it, else f32; int8 is that of a file exported so."""
    cache: str | None = None
    """Folder in which decoded, shrunk frames are kept."""
    flow_cache: str | None = None
    """For networks that see optical flow: the folder it is kept in; without it .kinema/flow beside the videos."""

    def __post_init__(self) -> None:
        check_settings({"clips": self.clips, "batch_size": self.batch_size}, 1)
        check_settings({"workers": self.workers}, 0)
        check_crops(self.crops)


def check_crops(count: int) -> None:
    """Make sure that `--crops` is 1 or 3.

    Raises:
        ConfigError: it is not.
    """
    if count not in (1, 3):
        raise ConfigError("--crops must be 1 or 3", count, "1 is the centre, 3 are left, centre and right")


def parse_size(text: str) -> tuple[int, int]:
    """`128x171` is (128, 171), `112` is (112, 112): height and width.

    Raises:
        ConfigError: neither.
    """
    numbers = text.lower().split("x")
    if len(numbers) > 2 or not all(number.isdigit() and int(number) for number in numbers):
        raise ConfigError("a size cannot be understood", text, "give HEIGHTxWIDTH, such as 112x112")
    return int(numbers[0]), int(numbers[-1])


def parse_arguments(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`("width=48", "head=mean")` is `{"width": 48, "head": "mean"}`; values are read as JSON where they can be.

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
