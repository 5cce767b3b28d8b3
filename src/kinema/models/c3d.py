"""C3D: 3 x 3 x 3 filters in all layers, the VGG of video (Tran et al. 2015).

Eight convolutions, five poolings (the first over space only), two hidden layers of 4096 units. The authors' network
rounds the size of a pooling's output up, so that 7 x 7 becomes 4 x 4 before `fc6`, with a smaller last window; ports to
PyTorch pad both sides instead, and weights trained with them need `centred_pool`.

The input is pixels from 0 to 255 minus a mean, 128 x 171 cropped to 112 x 112. The authors subtract a mean clip, the
ports and this module its mean colour.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import Network, fastest_layout, init_he
from kinema.models.variant import Variant
from kinema.types import InputSpec

CHANNELS = ((64,), (128,), (256, 256), (512, 512), (512, 512))


class C3d(Network):
    """Five groups of 3 x 3 x 3 convolutions, then hidden layers or an average.

    Args:
        spec: the input; `fc6` fits its length and size.
        num_classes: length of the logits.
        batch_norm: after every convolution.
        width: multiplies all channel counts and units; 1 is the paper.
        hidden: units of `fc6` and `fc7`; 0 averages the last convolution over space and time instead.
        stem_stride: stride of the first convolution over time, height, width.
        centred_pool: pad the last pooling on both sides, as ports do, instead of rounding its output size up.
        dropout: after each hidden layer.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        batch_norm: bool = False,
        width: float = 1.0,
        hidden: int = 4096,
        stem_stride: Sequence[int] = (1, 1, 1),
        centred_pool: bool = False,
        dropout: float = 0.5,
    ) -> None:
        channels = [[max(1, round(count * width)) for count in counts] for counts in CHANNELS]
        units = round(hidden * width)
        super().__init__(spec, units or channels[-1][-1], num_classes, dropout)
        if len(stem_stride) != 3:
            raise ValueError(f"a stride has three numbers, got {stem_stride=}")
        strides = [tuple(stem_stride), *[(1, 1, 1)] * 4]
        inputs = spec.num_channels
        for number, (counts, stride) in enumerate(zip(channels, strides, strict=True), start=1):
            layers = _convolutions(inputs, counts, stride, batch_norm)
            if number < 5 or units:
                padding = (0, 1, 1) if centred_pool and number == 5 else 0
                window = (1, 2, 2) if number == 1 else (2, 2, 2)
                layers["pool"] = nn.MaxPool3d(window, padding=padding, ceil_mode=True)
            self.add_module(f"conv{number}", nn.Sequential(layers))
            inputs = counts[-1]
        self.average = None if units else nn.AdaptiveAvgPool3d(1)
        if units:
            self.fc6 = nn.Linear(inputs * _num_places(spec, stem_stride, centred_pool), units)
            self.fc7 = nn.Linear(units, units)
            self.relu = nn.ReLU(inplace=True)
        for _, stage in self.stages():
            (init_he if batch_norm else _init_as_published)(stage)
        if not batch_norm:
            nn.init.zeros_(self.get_submodule("conv1.a.conv").bias)  # type: ignore[arg-type]

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Output of the second hidden layer, `fc7`, or the average."""
        x = fastest_layout(clip)
        for number in range(1, 6):
            x = self.get_submodule(f"conv{number}")(x)
        if self.average is not None:
            return self.average(x).flatten(1)
        x = self.dropout(self.relu(self.fc6(x.flatten(1))))
        return self.relu(self.fc7(x))

    def stages(self) -> list[tuple[str, nn.Module]]:
        """conv1 to conv5, fc6, fc7."""
        return [(name, part) for name, part in self.named_children() if name.startswith(("conv", "fc"))]


def _convolutions(
    inputs: int, counts: Sequence[int], stride: Sequence[int], batch_norm: bool
) -> OrderedDict[str, nn.Module]:
    """A group of convolutions, named a and b; the first has the stride."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, outputs in zip("ab", counts, strict=False):
        step = (stride[0], stride[1], stride[2]) if name == "a" else (1, 1, 1)
        parts: dict[str, nn.Module] = {"conv": nn.Conv3d(inputs, outputs, 3, step, 1, bias=not batch_norm)}
        if batch_norm:
            parts["norm"] = nn.BatchNorm3d(outputs)
        layers[name] = nn.Sequential(OrderedDict(parts, relu=nn.ReLU(inplace=True)))
        inputs = outputs
    return layers


def _num_places(spec: InputSpec, stem_stride: Sequence[int], centred_pool: bool) -> int:
    """Number of positions in space and time before `fc6`."""
    time, *space = (-(-size // stride) for size, stride in zip(spec.shape[1:], stem_stride, strict=True))
    for _ in range(4):
        time, space = -(-time // 2), [-(-size // 2) for size in space]
    height, width = (size // 2 + 1 if centred_pool else -(-size // 2) for size in space)
    return time * height * width


def _init_as_published(module: nn.Module) -> None:
    """Normal weights of deviation 0.01 (0.005 in hidden layers); biases of 1 keep ReLUs active."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv3d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.01 if isinstance(layer, nn.Conv3d) else 0.005)
            nn.init.ones_(layer.bias)  # type: ignore[arg-type]


FROM_MMACTION: tuple[tuple[str, str], ...] = (
    (r"backbone\.", ""),
    (r"cls_head\.fc_cls\.", "classifier."),
    (r"conv(\d)([ab])\.", r"conv\1.\2."),
)
"""Names of MMAction2's C3D; its weights need `centred_pool`."""
FROM_DAVIDEA: tuple[tuple[str, str], ...] = (
    (r"fc8\.", "classifier."),
    (r"conv([12])\.", r"conv\1.a.conv."),
    (r"conv(\d)([ab])\.", r"conv\1.\2.conv."),
)
"""Names of c3d.pickle (github.com/DavideA/c3d-pytorch), the authors' Sports-1M weights."""

_PAPER = "Tran et al. 2015, Learning Spatiotemporal Features with 3D Convolutional Networks"
NUM_CLASSES = 487  # Sports-1M
INPUT = InputSpec(
    clip_len=16, size=(112, 112), squeezed=(128, 171), mean=(104 / 255, 117 / 255, 128 / 255), std=(1 / 255,) * 3
)
INPUT_BN = INPUT.with_(std=(0.226,) * 3)
SMALL_INPUT = InputSpec(clip_len=16, size=(96, 96), sampling="spread")
_SMALL: dict[str, object] = {"batch_norm": True, "width": 0.25, "hidden": 0, "stem_stride": (2, 2, 2), "dropout": 0.2}

VARIANTS: dict[str, Variant] = {
    "c3d": Variant(C3d, {}, INPUT, _PAPER, NUM_CLASSES, note="as published"),
    "c3d_bn": Variant(C3d, {"batch_norm": True}, INPUT_BN, _PAPER, NUM_CLASSES, note="batch norm, learns from scratch"),
    "c3d_small": Variant(C3d, _SMALL, SMALL_INPUT, _PAPER, note="an average for its hidden layers, for a CPU"),
}
