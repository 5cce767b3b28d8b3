"""Non-local blocks: every place of every frame looks at all others, in one step, whatever lies between.

A convolution sees its neighbours; what is far away in space or time it learns of only through many layers. A
non-local block adds to each place a sum over all places, weighted by how alike they are. Its last norm starts at
zero, so that a block put into a trained network changes nothing at first. `insert_nonlocal` puts blocks into any
network of this package whose stages hand on maps [b c t h w]; the names of the layers that were there stay, so weights
without blocks still load. Wang et al. 2018.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.models import small
from kinema.models.network import Network, StreamingNetwork, on_meta
from kinema.models.resnet_bottleneck3d import I3D_TIMES, BottleneckResNet3d, kinetics_input
from kinema.models.variant import Variant

Mode = Literal["embedded_gaussian", "gaussian", "dot_product"]


class NonLocalBlock(nn.Module):
    """Adds to each place a weighted sum over all places of the clip.

    Args:
        channels: that come in and go out; the block works on half of them.
        mode: how alike two places are. "embedded_gaussian": softmax over products of two learned views, as in
            attention; "gaussian": the same without learned views; "dot_product": the products themselves, divided by how
            many places there are.
        pooled: take every second row and column (the larger of neighbours) of what is looked at; costs a quarter.
    """

    def __init__(self, channels: int, mode: Mode = "embedded_gaussian", pooled: bool = True) -> None:
        if mode not in get_args(Mode):
            raise ValueError(f"mode is one of {', '.join(get_args(Mode))}, got {mode!r}")
        super().__init__()
        inner = max(channels // 2, 1)
        self.mode, self.pooled = mode, pooled
        self.theta: nn.Module = nn.Identity() if mode == "gaussian" else nn.Conv3d(channels, inner, 1)
        self.phi: nn.Module = nn.Identity() if mode == "gaussian" else nn.Conv3d(channels, inner, 1)
        self.g = nn.Conv3d(channels, inner, 1)
        self.out = nn.Conv3d(inner, channels, 1)
        self.norm = nn.BatchNorm3d(channels)
        for layer in (self.theta, self.phi, self.g, self.out):
            if isinstance(layer, nn.Conv3d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
        """The input, and what all places have to say to each."""
        query = _places(self.theta(x))
        key, value = _places(self._looked_at(self.phi(x))), _places(self._looked_at(self.g(x)))
        if self.mode == "dot_product":  # the brackets are free: views by channels are fewer than places by places
            seen = query @ (key.transpose(1, 2) @ (value / key.shape[1]))
        else:
            seen = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        added = seen.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
        return x + self.norm(self.out(added))

    def _looked_at(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t y x"]:
        if not self.pooled:
            return x
        h, w = x.shape[3:]
        return F.max_pool3d(x, (1, min(2, h), min(2, w)))

    def extra_repr(self) -> str:
        """Shown when the network is printed."""
        return f"mode={self.mode}, pooled={self.pooled}"


def _places(x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n c"]:
    return x.flatten(2).transpose(1, 2)


def insert_nonlocal(
    network: Network, stages: Sequence[int], every: int = 2, mode: Mode = "embedded_gaussian"
) -> Network:
    """Put non-local blocks into a network, in place. Until they learn it gives the same logits as before.

    Each block becomes a child of the block behind which it stands, so it belongs to the same stage and the names of
    all other weights stay. The network remembers its blocks: a checkpoint of it builds them again.

    Args:
        network: stages that hold blocks hand on maps [b c t h w]; of two pathways the first gets the blocks.
        stages: which stages, as places in `network.stages()`; 0 is the stem.
        every: a block behind every so-manieth block of a stage, and at least behind its last one.
        mode: see `NonLocalBlock`.

    >>> from kinema.models import build
    >>> network = insert_nonlocal(build("slow_r50"), stages=(2, 3))    # behind every second block of res3 and res4
    >>> sum(isinstance(module, NonLocalBlock) for module in network.modules())
    5

    Raises:
        ValueError: no such stage, nothing there to stand behind, blocks are there already, or the network is causal and
            must not look ahead.
    """
    if isinstance(network, StreamingNetwork):
        raise ValueError("a causal network cannot have non-local blocks: they look ahead")
    named, channels = network.stages(), _channels(network)
    chosen: list[nn.Module] = []
    for place in stages:
        if not 0 <= place < len(named):
            there = ", ".join(f"{i} {name}" for i, (name, _) in enumerate(named))
            raise ValueError(f"no stage {place} for non-local blocks; there are {there}")
        blocks = list(_blocks(named[place][1], channels))
        if not blocks:
            raise ValueError(f"stage {place}, {named[place][0]}, hands on no maps over time and space")
        chosen += blocks[every - 1 :: every] or blocks[-1:]
    if any(isinstance(module, NonLocalBlock) for block in chosen for module in block.modules()):
        raise ValueError("these stages have non-local blocks already")
    like = next(network.parameters())
    for block in chosen:
        _append(block, NonLocalBlock(channels[block], mode).to(like.device, like.dtype).train(block.training))
    given = {"nonlocal_stages": list(stages), "nonlocal_every": every, "nonlocal_mode": mode}
    network.arguments = {**network.arguments, **given}
    return network


def _channels(network: Network) -> dict[nn.Module, int]:
    """Channels of what each module puts out, for modules that are called once and put out one map [b c t h w]."""
    found: dict[nn.Module, list[int]] = {}

    def note(module: nn.Module, _: Any, output: Any) -> None:
        is_map = isinstance(output, Tensor) and output.ndim == 5
        found.setdefault(module, []).append(output.shape[1] if is_map else 0)

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with on_meta(network) as call, torch.no_grad():
            call(torch.empty(1, *network.spec.shape, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    return {module: counts[0] for module, counts in found.items() if len(counts) == 1 and counts[0]}


def _blocks(module: nn.Module, channels: Mapping[nn.Module, int]) -> Iterator[nn.Module]:
    """The blocks of a stage in order: what its containers hold, as long as that is more than single layers."""
    children = list(module.children())
    if isinstance(module, nn.Sequential | nn.ModuleList) and all(any(child.children()) for child in children):
        for child in children:
            yield from _blocks(child, channels)
    elif module in channels:
        yield module
    else:  # pathways side by side
        yield from next((found for child in children if (found := list(_blocks(child, channels)))), [])


def _append(block: nn.Module, nonlocal_block: NonLocalBlock) -> None:
    block.add_module("nonlocal_block", nonlocal_block)
    if type(block).forward is not nn.Sequential.forward:  # that one runs its newest child already
        block.register_forward_hook(_run_nonlocal)


def _run_nonlocal(block: nn.Module, _: Any, output: Tensor) -> Tensor:
    return block.nonlocal_block(output)  # type: ignore[operator]


_SLOW_FUSION_SMALL = small.VARIANTS["slow_fusion_small"]

VARIANTS: dict[str, Variant] = {
    "i3d_r50_nonlocal": Variant(
        builder=BottleneckResNet3d,
        arguments={"times": I3D_TIMES, "stem_time": (5, 2), "pools": (2, 2), "nonlocal_stages": (2, 3)},
        input=kinetics_input(32, 2, 256),
        paper="Wang et al. 2018",
        note="I3D with 5 non-local blocks",
    ),
    "nonlocal_small": Variant(
        builder=_SLOW_FUSION_SMALL.builder,
        arguments={**_SLOW_FUSION_SMALL.arguments, "nonlocal_stages": (2, 3), "nonlocal_every": 1},
        input=_SLOW_FUSION_SMALL.input,
        paper="Wang et al. 2018 on a compact residual network",
        note="slow_fusion_small with 2 non-local blocks",
    ),
}
