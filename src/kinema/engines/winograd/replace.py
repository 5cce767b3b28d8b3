"""Replace convolutions of a network with faster ones, in float32 on a CPU.

Winograd's F(4x4, 3x3) (Lavin & Gray 2016) transforms each tile of 6 x 6 inputs and each filter into 36 numbers. Multiplied
number by number and summed over channels they are 36 matrix products instead of 144; the products of filters over time are
added. For filters over time alone, F(4, 3) does the same for 4 frames of a pixel: 6 products instead of 12. The transforms
are in `winograd.c`, the products in `products`. For clips that are too small for either, filters are reordered in memory
once (`packed_conv`).

Milliseconds per clip with two threads on an AMD EPYC of the fourth generation, oneDNN -> these layers. Filters of 3 x 3 x 3:
64 channels on 16 frames of 56 x 56 46 -> 21, 128 on 8 of 28 x 28 22 -> 10, 256 on 4 of 14 x 14 11 -> 6.7, 512 on 2 of 7 x 7
8.1 -> 4.8. Filters over time alone: 144 to 64 channels on 16 frames of 56 x 56 14.4 -> 9.9, 288 to 128 on 8 of 28 x 28
6.3 -> 4.5, 576 to 256 on 4 of 14 x 14 3.1 -> 2.2. Whole networks: r3d_18 355 -> 193, r2plus1d_18 406 -> 246, c3d 357 -> 169,
slow_r50 563 -> 456. On the fifth generation, OpenVINO -> these layers: r3d_18 162 -> 100, r2plus1d_18 193 -> 131. Outputs
differ by up to 1e-5 of a layer's largest output.
"""

from __future__ import annotations

from collections import Counter

from torch import nn

from kinema.engines.winograd.conv import WinogradConv, WinogradTimeConv, transforms
from kinema.engines.winograd.packed_conv import PackedConv

__all__ = ["PackedConv", "WinogradConv", "WinogradTimeConv", "kind_of", "transforms", "with_winograd"]

_KINDS = (WinogradConv, WinogradTimeConv, PackedConv)


def kind_of(module: nn.Module | None) -> type[PackedConv] | None:
    """The faster layer for a convolution; None for other modules and for convolutions that are too small."""
    if not isinstance(module, nn.Conv2d | nn.Conv3d) or type(module) not in (nn.Conv2d, nn.Conv3d):
        return None
    return None if _has_more(module) else next((kind for kind in _KINDS if kind.suits(module)), None)


def with_winograd(network: nn.Module) -> int:
    """Replace convolutions in place, with the ReLU that directly follows in an `nn.Sequential`; returns their number.

    Raises:
        OutputError: the transforms cannot be compiled here; the network is not changed.
    """
    transforms()
    uses = Counter(id(child) for parent in network.modules() for child in parent._modules.values())
    places = [(parent, name) for parent in network.modules() for name in parent._modules]
    replaced = 0
    for parent, name in places:
        conv = parent._modules[name]
        kind = kind_of(conv)
        if kind is not None and uses[id(conv)] == 1:
            assert isinstance(conv, nn.Conv2d | nn.Conv3d)
            relu = _relu_after(parent, name)
            setattr(parent, name, kind(conv, relu=relu is not None))
            if relu is not None:
                setattr(parent, relu, nn.Identity())
            replaced += 1
    return replaced


def _relu_after(parent: nn.Module, name: str) -> str | None:
    """Name of the next ReLU in a sequence, if only empty modules lie between."""
    if type(parent).forward is not nn.Sequential.forward:
        return None
    names = list(parent._modules)
    for other in names[names.index(name) + 1 :]:
        module = parent._modules[other]
        if module is None or _has_more(module):
            return None
        if type(module) is nn.ReLU:
            return other
        if type(module) not in (nn.Identity, nn.Sequential):
            return None
    return None


def _has_more(module: nn.Module) -> bool:
    """Whether a module has hooks or children, which a replacement would lose."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._modules)
