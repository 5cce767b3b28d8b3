"""The networks of "Large-scale Video Classification with Convolutional Neural Networks" (Karpathy et al. 2014).

`C(96,11,3)-N-P-C(256,5,1)-N-P-C(384,3,1)-C(384,3,1)-C(256,3,1)-P-FC(4096)-FC(4096)` on 170 x 170 pixels. The paper does
not state the padding. One choice gives all of its sizes: no padding in the first layer (170 - 11 and 89 - 11 both
divide by 3), size-preserving padding in the others, and pooling that keeps a last odd row:

    full frame        170 -> 54 -> P 27 -> P 14 -> P 7
    fovea, context     89 -> 27 -> P 14 -> P 7            (the last pooling is gone)

so that towers end in 7 x 7 x 256, as in the paper. Over time: early fusion's first filters are 10 frames long; late
fusion joins two towers with shared weights, 15 frames apart, in the first fully connected layer; slow fusion goes
10 -> 4 -> 2 -> 1 time steps.

Inputs are pixels from 0 to 255 minus 117, as in the paper. Dropout and initial weights, which it does not state, are
AlexNet's (Krizhevsky et al. 2012). The `_bn` variants (batch norm instead of local response normalisation, He et al.'s
initial weights, inputs of unit variance) train more easily from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.frame import SingleFrame
from kinema.models.fusion import EarlyFusion, LateFusion
from kinema.models.network import FrameParts, Network, filters_see_time, group, init_he
from kinema.models.variant import Variant
from kinema.types import InputSpec

TimeStep = tuple[int, int]  # filter length over time, stride over time
Stream = Literal["frame", "context", "fovea"]

PAPER = "Karpathy et al. 2014, Large-scale Video Classification with Convolutional Neural Networks"
NUM_CLASSES = 487  # Sports-1M
SLOW: tuple[TimeStep, ...] = ((4, 2), (2, 2), (2, 2))


class ResponseNorm(nn.LocalResponseNorm):
    """Local response normalisation: x / (k + alpha * sum of squares of n neighbouring channels) ** beta.

    torch divides alpha by n first; the paper does not.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.5, k: float = 2.0) -> None:
        super().__init__(size, alpha * size, beta, k)


class Tower(nn.Module):
    """The five convolutions.

    Args:
        channels: of the input.
        times: filter length and stride over time of the first convolutions; 1 and 1 for the others.
        batch_norm: after every convolution, instead of response norms after the first two.
        last_pool: include the last pooling.
        width: multiplies the channel counts; 1 is the paper.
    """

    def __init__(
        self,
        channels: int,
        times: Sequence[TimeStep] = (),
        batch_norm: bool = False,
        last_pool: bool = True,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        sizes = [max(1, round(count * width)) for count in (96, 256, 384, 384, 256)]
        kernels, strides, pools = (11, 5, 3, 3, 3), (3, 1, 1, 1, 1), (True, True, False, False, last_pool)
        times = [*times, *[(1, 1)] * (5 - len(times))]
        inputs = [channels, *sizes]
        for index in range(5):
            length, time_stride = times[index]
            kernel, stride = kernels[index], strides[index]
            window, steps = (length, kernel, kernel), (time_stride, stride, stride)
            side = kernel // 2 if index else 0
            conv = nn.Conv3d(inputs[index], sizes[index], window, steps, (0, side, side), bias=not batch_norm)
            layers: dict[str, nn.Module] = {"conv": conv}
            if batch_norm:
                layers["norm"] = nn.BatchNorm3d(sizes[index])
            layers["relu"] = nn.ReLU(inplace=True)
            if not batch_norm and index < 2:
                layers["norm"] = ResponseNorm()
            if pools[index]:
                layers["pool"] = nn.MaxPool3d((1, 2, 2), ceil_mode=True)
            self.add_module(f"conv{index + 1}", _sequence(layers))
        self.num_features = sizes[-1]
        self.last_pool = last_pool

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f s y x"]:
        """The last feature maps."""
        for layer in self.children():
            clip = layer(clip)
        return clip

    def output_size(self, clip_len: int, size: tuple[int, int]) -> int:
        """Number of output features for a clip of this length and size.

        Raises:
            ValueError: the clip is too short or too small.
        """
        times, height, width = clip_len, *size
        for layer in self.children():
            conv = layer.get_submodule("conv")
            assert isinstance(conv, nn.Conv3d)
            times = (times - conv.kernel_size[0]) // conv.stride[0] + 1
            height, width = (
                (n + 2 * int(conv.padding[1]) - conv.kernel_size[1]) // conv.stride[1] + 1 for n in (height, width)
            )
            if hasattr(layer, "pool"):
                height, width = -(-height // 2), -(-width // 2)
            if min(times, height, width) < 1:
                raise ValueError(f"a clip of {clip_len} frames of {size[0]}x{size[1]} is too small for {conv}")
        return self.num_features * times * height * width


class KarpathyNet(Network):
    """One tower a stream, joined in two fully connected layers.

    Args:
        spec: the input.
        num_classes: length of the logits.
        streams: inputs of the towers: the whole "frame", or its half-size "context" and its centre, the "fovea".
        times: filter length and stride over time of the first convolutions; length 0 is the whole clip (early fusion).
            The first fully connected layer joins the time steps that remain (late fusion).
        batch_norm: instead of local response normalisation.
        width: multiplies all channel counts and units; 1 is the paper.
        dropout: before the second fully connected layer and before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        streams: Sequence[Stream] = ("frame",),
        times: Sequence[TimeStep] = (),
        batch_norm: bool = False,
        width: float = 1.0,
        dropout: float = 0.5,
    ) -> None:
        hidden = max(1, round(4096 * width))
        super().__init__(spec, hidden, num_classes, dropout)
        whole = streams == ("frame",)
        times = [(length or spec.clip_len, stride) for length, stride in times]
        self.streams = tuple(streams)
        self.towers = nn.ModuleDict(
            {stream: Tower(spec.num_channels, times, batch_norm, whole, width) for stream in self.streams}
        )
        size = spec.size if whole else (spec.size[0] // 2, spec.size[1] // 2)
        towers = (tower for tower in self.towers.values() if isinstance(tower, Tower))
        joined = sum(tower.output_size(spec.clip_len, size) for tower in towers)
        self.fc6 = _sequence({"linear": nn.Linear(joined, hidden), "relu": nn.ReLU(inplace=True)})
        self.fc7 = _sequence({"linear": nn.Linear(hidden, hidden), "relu": nn.ReLU(inplace=True)})
        (init_he if batch_norm else _init_alexnet)(self)
        if batch_norm:
            nn.init.normal_(self.classifier.weight, std=0.01)  # type: ignore[arg-type]

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Output of the second fully connected layer."""
        return self._joined(self._maps(clip))

    def frame_parts(self) -> FrameParts | None:
        """Towers and fully connected layers; None if a filter of a tower spans several frames."""

        def join(encoded: Float[Tensor, "b t f"]) -> Float[Tensor, "b g"]:
            channels = [cast(Tower, tower).num_features for tower in self.towers.values()]
            maps = zip(encoded.chunk(len(self.streams), dim=2), channels, strict=True)
            return self._joined([rearrange(x, "b t (c p) -> b (c t p)", c=count) for x, count in maps])

        return None if filters_see_time(self) else FrameParts(lambda frames: torch.cat(self._maps(frames), dim=1), join)

    def _maps(self, clip: Float[Tensor, "b c t h w"]) -> list[Float[Tensor, "b f"]]:
        """The last maps of each tower, flattened."""
        return [tower(stream_input(stream, clip)).flatten(1) for stream, tower in self.towers.items()]

    def _joined(self, towers: list[Float[Tensor, "b f"]]) -> Float[Tensor, "b g"]:
        return self.fc7(self.dropout(self.fc6(torch.cat(towers, dim=1))))

    def stages(self) -> list[tuple[str, nn.Module]]:
        """conv1 … conv5 of all towers, fc6, fc7. With the classifier, the last two are the paper's "top 3 layers"."""
        names = [f"conv{index}" for index in range(1, 6)]
        layers = [{stream: tower.get_submodule(name) for stream, tower in self.towers.items()} for name in names]
        towers = [(name, group(**parts)) for name, parts in zip(names, layers, strict=True)]
        return [*towers, ("fc6", self.fc6), ("fc7", self.fc7)]


def stream_input(stream: Stream | str, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t y x"]:
    """The part of each frame for a stream: the whole, the whole at half the size, or the central half at full size."""
    height, width = clip.shape[-2:]
    if stream == "context":
        return F.avg_pool3d(clip, (1, 2, 2))
    if stream == "fovea":
        top, left = (height - height // 2) // 2, (width - width // 2) // 2
        return clip[..., top : top + height // 2, left : left + width // 2]
    return clip


def _sequence(layers: dict[str, nn.Module]) -> nn.Sequential:
    sequence = nn.Sequential()
    for name, layer in layers.items():
        sequence.add_module(name, layer)
    return sequence


def _init_alexnet(network: nn.Module) -> None:
    """Normal weights of deviation 0.01 (0.005 in hidden linear layers); biases of 1 keep some ReLUs active."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv3d | nn.Linear):
            hidden = isinstance(layer, nn.Linear) and name != "classifier"
            nn.init.normal_(layer.weight, std=0.005 if hidden else 0.01)
            active = hidden or any(part in name for part in ("conv2", "conv4", "conv5"))
            nn.init.constant_(layer.bias, 1.0 if active else 0.0)  # type: ignore[arg-type]


INPUT = InputSpec(clip_len=1, size=(170, 170), mean=(117 / 255,) * 3, std=(1 / 255,) * 3, short_side=200)
INPUT_BN = INPUT.with_(std=(0.226,) * 3)
TIMES: dict[str, tuple[tuple[TimeStep, ...], int, int]] = {  # filters over time, clip_len, frame_stride
    "single_frame": ((), 1, 1),
    "early_fusion": (((0, 1),), 10, 1),
    "late_fusion": ((), 2, 15),
    "slow_fusion": (SLOW, 10, 1),
}
_ON_BACKBONE = {"single_frame": SingleFrame, "early_fusion": EarlyFusion, "late_fusion": LateFusion}


def variants(suffix: str, streams: tuple[Stream, ...], size: tuple[int, int]) -> dict[str, Variant]:
    """The four networks, exact and with batch norm, on `streams` of frames of `size`."""
    made = {}
    for name, (times, clip_len, frame_stride) in TIMES.items():
        for ending, batch_norm, base in (("", False, INPUT), ("_bn", True, INPUT_BN)):
            made[f"{name}{suffix}{ending}"] = Variant(
                builder=KarpathyNet,
                arguments={"streams": streams, "times": times, "batch_norm": batch_norm},
                input=base.with_(clip_len=clip_len, frame_stride=frame_stride, size=size),
                paper=PAPER,
                num_classes=NUM_CLASSES,
                on_backbone=_ON_BACKBONE.get(name) if not (suffix or ending) else None,
                note="batch norm, learns from scratch" if batch_norm else "as published",
            )
    return made


VARIANTS: dict[str, Variant] = variants("", ("frame",), (170, 170))
