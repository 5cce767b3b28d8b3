"""Two-stream networks: one stream for a frame, one for optical flow (Simonyan and Zisserman 2014).

The temporal stream gets the optical flow of L frames as 2L channels, so that it need not learn to find motion. Both
streams are CNN-M of Chatfield et al. (2014) with 2048 units in its second fully connected layer, or any network of timm;
for flow, a published backbone's first filters are averaged over the colours (Wang et al. 2016, "Temporal Segment
Networks"). The paper trains the streams separately (`spatial_stream`, `temporal_stream`) and joins their scores
(`kinema fuse`). It also subtracts the mean motion of each field, which is not done here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models import i3d
from kinema.models.backbone import Backbone, BackboneSource
from kinema.models.frame import SingleFrame
from kinema.models.fused import Fused, Streams, part_of
from kinema.models.network import Network, init_he
from kinema.models.small import SmallFusion
from kinema.models.variant import Variant
from kinema.types import FLOW_ZERO, InputSpec

WEIGHTS = (1.0, 1.5)
"""Weights of RGB and flow in the mean of the scores, as in Wang et al. (2016)."""


class CnnM(Network):
    """CNN-M-2048 on all frames of a clip as channels.

    Args:
        spec: the input: one RGB frame for the spatial stream, the flow of some frames for the temporal one.
        num_classes: length of the logits.
        second_norm: response norm after the second convolution too; not in the paper's temporal stream.
        width: multiplies the channel counts; 1 is the paper.
        dropout: before the second fully connected layer and before the classifier.
    """

    def __init__(
        self, spec: InputSpec, num_classes: int, second_norm: bool = True, width: float = 1.0, dropout: float = 0.9
    ) -> None:
        c1, c2, c3, wide, narrow = (max(1, round(count * width)) for count in (96, 256, 512, 4096, 2048))
        super().__init__(spec, narrow, num_classes, dropout)
        self.conv1 = _conv(spec.num_channels * spec.clip_len, c1, 7, 2, 0, norm=True, pool=True)
        self.conv2 = _conv(c1, c2, 5, 2, 1, norm=second_norm, pool=True)
        self.conv3 = _conv(c2, c3, 3, 1, 1)
        self.conv4 = _conv(c3, c3, 3, 1, 1)
        self.conv5 = _conv(c3, c3, 3, 1, 1, pool=True)
        rows, columns = (_grid(side) for side in spec.size)
        self.full6 = nn.Sequential(nn.Flatten(), nn.Linear(c3 * rows * columns, wide), nn.ReLU(inplace=True))
        self.full7 = nn.Sequential(nn.Dropout(dropout), nn.Linear(wide, narrow), nn.ReLU(inplace=True))
        init_he(nn.ModuleList([module for name, module in self.named_children() if name != "classifier"]))

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Output of the last fully connected layer."""
        x = rearrange(clip, "b c t h w -> b (t c) h w")
        for _, stage in self.stages():
            x = stage(x)
        return x

    def stages(self) -> list[tuple[str, nn.Module]]:
        """conv1 to conv5, full6, full7."""
        return [(name, part) for name, part in self.named_children() if name.startswith(("conv", "full"))]


def _conv(
    inputs: int, outputs: int, size: int, stride: int, padding: int, *, norm: bool = False, pool: bool = False
) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, size, stride, padding), nn.ReLU(inplace=True)]
    if norm:
        layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0))
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _grid(side: int) -> int:
    """Positions along one side after the last pooling: 224 -> 109 -> 54 -> 26 -> 13 -> 6."""
    places = (((side - 7) // 2 + 1) // 2 - 3) // 2 + 1
    if places // 4 < 1:
        raise ValueError(f"frames of {side} pixels are too small for CNN-M")
    return places // 4


class TemporalStream(Network):
    """Any 2-D backbone on the flow of some frames.

    Args:
        spec: flow; `spec.clip_len` frames have twice as many channels.
        num_classes: length of the logits; None keeps the backbone's number.
        backbone: the network; trained first filters are averaged over the colours and repeated.
        dropout: before the classifier.
    """

    def __init__(
        self, spec: InputSpec, num_classes: int | None, backbone: BackboneSource, dropout: float = 0.8
    ) -> None:
        network = backbone.open(spec.size, num_frames=spec.clip_len, flow=True)
        super().__init__(spec, network.feature_dim, num_classes or network.num_classes, dropout)
        self.backbone: Backbone = network

    def features(self, clip: Float[Tensor, "b 2 t h w"]) -> Float[Tensor, "b f"]:
        """Those of the backbone; channels are u, v of the first frame, u, v of the next, and so on."""
        return self.backbone(rearrange(clip, "b c t h w -> b (t c) h w"))

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the backbone."""
        return self.backbone.stages()


class TwoStream(Streams):
    """The paper's two streams, their scores averaged.

    Args:
        spec: RGB and flow.
        num_classes: length of the logits.
        weights: of RGB and flow in the mean of the scores.
        width: multiplies the channel counts; 1 is the paper.
        dropout: see `CnnM`.
        multi_label: scores are sigmoids.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        weights: Sequence[float] = WEIGHTS,
        width: float = 1.0,
        dropout: float = 0.9,
        multi_label: bool = False,
    ) -> None:
        spatial = CnnM(spec.part("rgb").with_(clip_len=1), num_classes, True, width, dropout)
        temporal = CnnM(spec.part("flow"), num_classes, False, width, dropout)
        super().__init__(spec, (spatial, temporal), weights, multi_label=multi_label)


class TwoStreamOnBackbone(Streams):
    """Two streams on a backbone: `SingleFrame` and `TemporalStream`.

    Args:
        spec: RGB and flow.
        num_classes: length of the logits; None keeps the backbone's number.
        backbone: built twice.
        weights: of RGB and flow in the mean of the scores.
        dropout: before both classifiers.
        multi_label: scores are sigmoids.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int | None,
        backbone: BackboneSource,
        weights: Sequence[float] = WEIGHTS,
        dropout: float = 0.8,
        multi_label: bool = False,
    ) -> None:
        spatial = SingleFrame(spec.part("rgb").with_(clip_len=1), num_classes, backbone, dropout)
        temporal = TemporalStream(spec.part("flow"), num_classes, backbone, dropout)
        super().__init__(spec, (spatial, temporal), weights, multi_label=multi_label)


class TwoStreamI3d(Streams):
    """I3D on RGB and I3D on flow, their scores averaged (Carreira and Zisserman 2017).

    Args:
        spec: RGB and flow.
        num_classes: length of the logits.
        weights: of RGB and flow in the mean; equal in the paper.
        width: multiplies the channel counts; 1 is the paper.
        dropout: before both classifiers.
        multi_label: scores are sigmoids.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        weights: Sequence[float] = (1.0, 1.0),
        width: float = 1.0,
        dropout: float = 0.5,
        multi_label: bool = False,
    ) -> None:
        streams = [i3d.I3d(spec.part(own), num_classes, width, dropout) for own in ("rgb", "flow")]
        super().__init__(spec, streams, weights, multi_label=multi_label)


class TwoStreamSmall(Network):
    """Both streams on the trunk of `kinema.models.small`, trained together from scratch with one linear classifier.

    Args:
        spec: RGB and flow; the RGB frame is the middle one.
        num_classes: length of the logits.
        width: channels of both stems.
        depths: blocks of each stage.
        dropout: before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        width: int = 32,
        depths: Sequence[int] = (1, 1, 1),
        dropout: float = 0.2,
    ) -> None:
        spatial = SmallFusion(spec.part("rgb").with_(clip_len=1), num_classes, width, depths, dropout=0.0)
        temporal = SmallFusion(spec.part("flow"), num_classes, width, depths, stem_time=(0, 1), dropout=0.0)
        super().__init__(spec, spatial.feature_dim + temporal.feature_dim, num_classes, dropout)
        for stream in (spatial, temporal):
            stream.classifier = nn.Identity()
        self.spatial, self.temporal = spatial, temporal

    def features(self, clip: Float[Tensor, "b 5 t h w"]) -> Float[Tensor, "b f"]:
        """Features of the middle frame and of the flow, concatenated."""
        streams = (self.spatial, self.temporal)
        return torch.cat([stream(part_of(clip, self.spec, stream.spec)) for stream in streams], dim=1)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem and stages, each of both streams."""
        levels = zip(self.spatial.stages(), self.temporal.stages(), strict=True)
        return [(name, nn.ModuleList([rgb, flow])) for (name, rgb), (_, flow) in levels]


_PAPER = "Simonyan and Zisserman 2014, Two-Stream Convolutional Networks for Action Recognition in Videos"
_COLOURS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_AT_REST = FLOW_ZERO / 255
_FRAME = InputSpec(clip_len=1, size=(224, 224), short_side=256)
_FLOW = _FRAME.with_(clip_len=10, modality="flow", mean=(_AT_REST,) * 2, std=(0.226,) * 2)  # std of RGB networks
# A standard deviation of 2.5 px: displacements are shorter in small frames.
_SMALL_FLOW = _FLOW.with_(size=(96, 96), short_side=0, sampling="spread", std=(16 / 255,) * 2)


def _with_colours(flow: InputSpec, colours: InputSpec | None = None) -> InputSpec:
    mean, std = (_COLOURS["mean"], _COLOURS["std"]) if colours is None else (colours.mean, colours.std)
    return flow.with_(modality="rgb+flow", mean=(*mean, *flow.mean), std=(*std, *flow.std))


_I3D_INPUT, _SMALL_INPUT = _with_colours(i3d.FLOW_INPUT, i3d.INPUT), _with_colours(_SMALL_FLOW)
_MEMBERS = ({"variant": "single_frame_small", "clip_len": 1}, {"variant": "temporal_stream_small"})

VARIANTS: dict[str, Variant] = {
    "spatial_stream": Variant(CnnM, {}, _FRAME, _PAPER, 101, SingleFrame, note="one frame, CNN-M-2048"),
    "temporal_stream": Variant(
        CnnM, {"second_norm": False}, _FLOW, _PAPER, 101, TemporalStream, note="flow of ten frames, CNN-M-2048"
    ),
    "two_stream": Variant(
        TwoStream, {}, _with_colours(_FLOW), _PAPER, 101, TwoStreamOnBackbone, note="both, scores averaged"
    ),
    "two_stream_i3d": Variant(TwoStreamI3d, {}, _I3D_INPUT, i3d.PAPER, note="i3d_rgb and i3d_flow, scores averaged"),
    "temporal_stream_small": Variant(
        SmallFusion, {"stem_time": (0, 1)}, _SMALL_FLOW, _PAPER, note="flow of ten frames, for a CPU"
    ),
    "two_stream_small": Variant(
        TwoStreamSmall, {}, _SMALL_INPUT, _PAPER, note="a frame and the flow of ten, for a CPU"
    ),
    "fused": Variant(
        Fused, {"members": _MEMBERS}, _SMALL_INPUT, _PAPER, note="any networks, scores averaged: kinema fuse"
    ),
}
