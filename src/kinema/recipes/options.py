"""Choices that several commands share: which data, and which network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kinema.errors import ConfigError

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.labels import Labels


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which videos, and how they are divided."""

    format: Literal["auto", "folder", "manifest", "ucf101", "hmdb51", "kinetics", "sports1m", "stills"] = "auto"
    """How the data set is laid out; auto looks."""
    fold: int = 1
    """The official fold of UCF-101 and HMDB51: 1, 2 or 3."""
    group_by: tuple[str, ...] = ()
    """Manifest columns that together name the source of a video; a split never tears a source apart."""
    split: Literal["auto", "random", "groups", "blocks"] = "auto"
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


EngineName = Literal["auto", "torch", "winograd", "openvino"]

FlowMethod = Literal["dis", "farneback", "tvl1", "raft_small", "raft_large"]


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
    sampling: Literal["dense", "spread"] | None = None
    """dense: frames --frame-stride apart; spread: evenly over the whole video, whatever its length."""
    fps: float | None = None
    """Frame rate at which strides are counted, so that videos of different rates move alike."""
    size: str | None = None
    """Height and width that the network sees, as 112x112 or 112."""
    resize: Literal["crop", "stretch"] | None = None
    """crop: scale frames and cut the centre; stretch: squeeze the whole frame to what the network sees."""
    mean: tuple[float, ...] = ()
    """Mean of each channel (0 to 1) that is subtracted; without it the network's own."""
    std: tuple[float, ...] = ()
    """Standard deviation of each channel that is divided by."""
    flow_method: FlowMethod | None = None
    """How a network for optical flow gets it; it learns this one method's and keeps to it. Without this dis."""

    def build_arguments(self) -> dict[str, Any]:
        """The keyword arguments of `kinema.models.build` that are given, but for name and number of classes."""
        spec: dict[str, Any] = {"clip_len": self.clip_len, "frame_stride": self.frame_stride, "fps": self.fps}
        spec |= {"sampling": self.sampling, "resize": self.resize, "mean": self.mean or None, "std": self.std or None}
        spec |= {"size": None if self.size is None else parse_size(self.size), "flow": self.flow_method}
        trunk: dict[str, Any] = {
            "backbone": self.backbone,
            "pretrained": self.pretrained,
            "backbone_weights": self.backbone_weights,
            "backbone_args": parse_arguments(self.backbone_args),
        }
        return {
            **{name: value for name, value in trunk.items() if value},
            "spec": {name: value for name, value in spec.items() if value is not None},
            **parse_arguments(self.model_args),
        }


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
    import json

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
