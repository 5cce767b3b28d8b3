"""Quick convolutions in float32 on a CPU: with a quarter or half of the multiplications (Lavin & Gray 2016), or quicker to read.

Winograd's F(4x4, 3x3) turns each tile of 6 x 6 inputs and each filter into 36 numbers. Multiplied one by one and summed over
channels they are 36 matrix products in place of 144, and filters over time are further ones that are added. With filters over
time alone F(4, 3) does the same for 4 frames of a pixel: 6 products in place of 12. The transforms are in `winograd.c`, the
products are torch's or oneDNN's (`winograd_products`). Where a clip has become too small for either, filters are put in order
once (`packed_conv`).

Milliseconds with two threads on an AMD EPYC of the fourth generation for one clip, by oneDNN and by these layers. Filters of
3 x 3 x 3: 64 channels on 16 frames of 56 x 56 46 -> 21, 128 on 8 of 28 x 28 22 -> 10, 256 on 4 of 14 x 14 11 -> 6.7, 512 on 2
of 7 x 7 8.1 -> 4.8. Filters over time alone: 144 to 64 channels on 16 frames of 56 x 56 14.4 -> 9.9, 288 to 128 on 8 of
28 x 28 6.3 -> 4.5, 576 to 256 on 4 of 14 x 14 3.1 -> 2.2. All of r3d_18 355 -> 193, r2plus1d_18 406 -> 246, c3d 357 -> 169,
slow_r50 563 -> 456. On one of the fifth, by OpenVINO and by these layers: r3d_18 162 -> 100, r2plus1d_18 193 -> 131. Numbers
differ by up to 1e-5 of a layer's largest.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import nn

from kinema.engines.winograd.conv import WinogradConv, WinogradTimeConv, transforms
from kinema.engines.winograd.packed_conv import PackedConv

__all__ = ["PackedConv", "WinogradConv", "WinogradTimeConv", "kind_of", "saves_products", "transforms", "with_winograd"]

_KINDS = (WinogradConv, WinogradTimeConv, PackedConv)


def kind_of(conv: Any) -> type[PackedConv] | None:
    """The layer that computes a convolution, where it is large enough to pay; else None, as for all other modules."""
    if type(conv) not in (nn.Conv2d, nn.Conv3d) or _is_watched(conv):
        return None
    return next((kind for kind in _KINDS if kind.suits(conv)), None)


def saves_products(network: nn.Module) -> bool:
    """Whether it has any convolution that is computed with fewer multiplications."""
    return any(kind_of(module) in (WinogradConv, WinogradTimeConv) for module in network.modules())


def with_winograd(network: nn.Module) -> int:
    """Replace convolutions that pay, in place; with the rectifiers that directly follow them in an `nn.Sequential`.

    Returns:
        How many were replaced.

    Raises:
        OutputError: the transforms cannot be compiled here; the network is as it was.
    """
    transforms()
    uses = Counter(id(child) for parent in network.modules() for child in parent._modules.values())
    places = [(parent, name) for parent in network.modules() for name in parent._modules]
    replaced = 0
    for parent, name in places:
        conv: Any = parent._modules[name]
        kind = kind_of(conv)
        if kind is not None and uses[id(conv)] == 1:
            rectifier = _rectifier_behind(parent, name)
            setattr(parent, name, kind(conv, relu=rectifier is not None))
            if rectifier is not None:
                setattr(parent, rectifier, nn.Identity())
            replaced += 1
    return replaced


def _rectifier_behind(parent: nn.Module, name: str) -> str | None:
    """The name of the rectifier that comes next in a sequence, if only empty modules lie between."""
    if type(parent).forward is not nn.Sequential.forward:
        return None
    names = list(parent._modules)
    for other in names[names.index(name) + 1 :]:
        module = parent._modules[other]
        if module is None or _is_watched(module):
            return None
        if type(module) is nn.ReLU:
            return other
        if type(module) not in (nn.Identity, nn.Sequential):
            return None
    return None


def _is_watched(module: nn.Module) -> bool:
    """Whether something else happens when it is called, or hangs on it."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._modules)
