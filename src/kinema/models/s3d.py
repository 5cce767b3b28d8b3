"""S3D: I3D with every 3-D filter split into one over space and one over time (Xie et al. 2018).

1 x k x k, batch norm, ReLU, then k x 1 x 1, batch norm, ReLU. It has a third fewer parameters and less than two thirds of
the multiplications of I3D, and a higher accuracy. Padding is symmetric, unlike I3D's.
"""

from __future__ import annotations

from torch import nn

from kinema.models.i3d import Inception3d, Size3, named
from kinema.models.variant import Variant
from kinema.types import InputSpec


def _unit(inputs: int, outputs: int, kernel: Size3, stride: Size3) -> nn.Sequential:
    conv = nn.Conv3d(inputs, outputs, kernel, stride, (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2), bias=False)
    return named(conv=conv, norm=nn.BatchNorm3d(outputs, eps=1e-3), relu=nn.ReLU(inplace=True))


def separable_unit(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """A filter over space, then one over time; a single one for kernel 1."""
    if kernel == 1:
        return _unit(inputs, outputs, (1, 1, 1), (stride,) * 3)
    space = _unit(inputs, outputs, (1, kernel, kernel), (1, stride, stride))
    return named(space=space, time=_unit(outputs, outputs, (kernel, 1, 1), (stride, 1, 1)))


def centred_pool(window: Size3, stride: Size3) -> nn.MaxPool3d:
    """A max pooling with the same padding on both sides; none for an even window."""
    t, h, w = window
    return nn.MaxPool3d(window, stride, ((t - 1) // 2, (h - 1) // 2, (w - 1) // 2))


class S3d(Inception3d):
    """The separable Inception-v1.

    Args:
        spec: the input, at least 5 frames of 17 x 17 pixels.
        num_classes: length of the logits.
        width: multiplies all channel counts; 1 is the paper.
        dropout: before the classifier.
    """

    def __init__(self, spec: InputSpec, num_classes: int, width: float = 1.0, dropout: float = 0.2) -> None:
        if spec.clip_len < 5 or min(spec.size) < 17:
            raise ValueError(f"S3D halves time three times and space five: {spec.shape[1:]} ends in nothing")
        super().__init__(spec, num_classes, separable_unit, centred_pool, width, dropout)


_PLACES = {"0": "conv_1a", "2": "conv_2b", "3": "conv_2c", "5": "mixed_3b", "6": "mixed_3c"}
_PLACES |= {"8": "mixed_4b", "9": "mixed_4c", "10": "mixed_4d", "11": "mixed_4e", "12": "mixed_4f"}
_PLACES |= {"14": "mixed_5b", "15": "mixed_5c"}
_SPLIT = r"(conv_1a|conv_2c|mixed_\d\w\.branch[12]\.1)"
FROM_TORCHVISION: tuple[tuple[str, str], ...] = (
    (r"classifier\.1\.", "classifier."),
    *((rf"features\.{place}\.", f"{name}.") for place, name in _PLACES.items()),
    (rf"{_SPLIT}\.0\.", r"\1.space."),
    (rf"{_SPLIT}\.1\.", r"\1.time."),
    (r"(.+)\.0\.(?=weight$)", r"\1.conv."),
    (r"(.+)\.1\.(?=\w+$)", r"\1.norm."),
)
"""Names of torchvision's s3d."""

_PAPER = "Xie et al. 2018, Rethinking Spatiotemporal Feature Learning"
_MEAN, _STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
INPUT = InputSpec(clip_len=128, fps=15.0, size=(224, 224), squeezed=(256, 256), mean=_MEAN, std=_STD)
SMALL_INPUT = InputSpec(clip_len=16, size=(96, 96), sampling="spread")

VARIANTS: dict[str, Variant] = {
    "s3d": Variant(S3d, {}, INPUT, _PAPER, note="I3D with filters split into space and time"),
    "s3d_small": Variant(S3d, {"width": 0.25}, SMALL_INPUT, _PAPER, note="a quarter of the channels, for a CPU"),
}
