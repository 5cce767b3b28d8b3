"""Non-local blocks: each position of each frame attends to all others (Wang et al. 2018).

A convolution sees its neighbourhood; distant positions reach it only through many layers. A non-local block adds to each
position a sum over all positions, weighted by similarity. Its last norm starts at zero, so that a block in a trained
network changes nothing at first. `insert_nonlocal` puts blocks into any network of this package whose stages have maps
[b c t h w] as output. The names of other layers stay, so that weights without blocks still load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

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
    """Adds to each position a weighted sum over all positions of the clip.

    Args:
        channels: in and out; the block uses half as many inside.
        mode: similarity of two positions. "embedded_gaussian": softmax over products of two learned projections, as in
            attention; "gaussian": without projections; "dot_product": the products, divided by the number of positions.
        pooled: max-pool keys and values 2 x 2 over space, for a quarter of the cost.
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
        """The input plus the weighted sums."""
        query, key, value = self.theta(x), self.phi(x), self.g(x)
        if self.pooled:
            window = (1, min(2, x.shape[3]), min(2, x.shape[4]))
            key, value = F.max_pool3d(key, window), F.max_pool3d(value, window)
        query, key, value = (maps.flatten(2).transpose(1, 2) for maps in (query, key, value))
        if self.mode == "dot_product":  # the right product first: its result [channels channels] is the smaller one
            found = query @ (key.transpose(1, 2) @ (value / key.shape[1]))
        else:
            found = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        added = found.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
        return x + self.norm(self.out(added))

    def extra_repr(self) -> str:
        """Settings, for the printed network."""
        return f"mode={self.mode}, pooled={self.pooled}"


def insert_nonlocal(
    network: Network, stages: Sequence[int], every: int = 2, mode: Mode = "embedded_gaussian"
) -> Network:
    """Put non-local blocks into a network, in place. Before training the logits are the same as without them.

    Each block becomes a child of the block that it follows, so that it belongs to the same stage and the names of all
    other weights stay. The blocks become arguments of the network: a checkpoint of it builds them again.

    Args:
        network: the output of the chosen stages is maps [b c t h w]; of two pathways the first gets the blocks.
        stages: indices in `network.stages()`; 0 is the stem.
        every: a block after each n-th block of a stage, and at least after its last one.
        mode: see `NonLocalBlock`.

    >>> from kinema.models import build
    >>> network = insert_nonlocal(build("slow_r50"), stages=(2, 3))    # after every second block of res3 and res4
    >>> sum(isinstance(module, NonLocalBlock) for module in network.modules())
    5

    Raises:
        ValueError: no such stage, a stage without such maps, a stage with non-local blocks already, or a causal network,
            which must not see later frames.
    """
    if isinstance(network, StreamingNetwork):
        raise ValueError("a causal network cannot have non-local blocks: they see later frames")
    named, channels = network.stages(), _channels(network)
    chosen: list[nn.Module] = []
    for place in stages:
        if not 0 <= place < len(named):
            there = ", ".join(f"{i} {name}" for i, (name, _) in enumerate(named))
            raise ValueError(f"no stage {place} for non-local blocks; there are {there}")
        blocks = list(_blocks(named[place][1], channels))
        if not blocks:
            raise ValueError(f"stage {place}, {named[place][0]}, has no maps over time and space as output")
        chosen += blocks[every - 1 :: every] or blocks[-1:]
    if any(isinstance(module, NonLocalBlock) for block in chosen for module in block.modules()):
        raise ValueError("these stages have non-local blocks already")
    like = next(network.parameters())
    for block in chosen:
        added = NonLocalBlock(channels[block], mode).to(like.device, like.dtype).train(block.training)
        block.add_module("nonlocal_block", added)
        if type(block).forward is not nn.Sequential.forward:  # a Sequential runs its new child already
            block.register_forward_hook(_run_nonlocal)
    given = {"nonlocal_stages": list(stages), "nonlocal_every": every, "nonlocal_mode": mode}
    network.arguments = {**network.arguments, **given}
    return network


def _channels(network: Network) -> dict[nn.Module, int]:
    """Output channels of each module that is called once and returns one map [b c t h w]."""
    found: dict[nn.Module, list[int]] = {}

    def note(module: nn.Module, _: object, output: object) -> None:
        channels = output.shape[1] if isinstance(output, Tensor) and output.ndim == 5 else 0
        found.setdefault(module, []).append(channels)

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with on_meta(network) as call, torch.no_grad():
            call(torch.empty(1, *network.spec.shape, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    return {module: counts[0] for module, counts in found.items() if len(counts) == 1 and counts[0]}


def _blocks(module: nn.Module, channels: Mapping[nn.Module, int]) -> Iterator[nn.Module]:
    """The blocks of a stage in order: the children of its containers, unless these are single layers."""
    children = list(module.children())
    if isinstance(module, nn.Sequential | nn.ModuleList) and all(any(child.children()) for child in children):
        for child in children:
            yield from _blocks(child, channels)
    elif module in channels:
        yield module
    else:  # parallel pathways: the first one with blocks
        yield from next((found for child in children if (found := list(_blocks(child, channels)))), [])


def _run_nonlocal(block: nn.Module, _: object, output: Tensor) -> Tensor:
    return block.nonlocal_block(output)  # type: ignore[operator]


_PAPER = "Wang et al. 2018"
_I3D = {"times": I3D_TIMES, "stem_time": (5, 2), "pools": (2, 2), "nonlocal_stages": (2, 3)}
_BASE = small.VARIANTS["slow_fusion_small"]

VARIANTS: dict[str, Variant] = {
    "i3d_r50_nonlocal": Variant(
        BottleneckResNet3d, _I3D, kinetics_input(32, 2, 256), _PAPER, note="I3D with 5 non-local blocks"
    ),
    "nonlocal_small": replace(
        _BASE,
        arguments={**_BASE.arguments, "nonlocal_stages": (2, 3), "nonlocal_every": 1},
        paper=f"{_PAPER} on a compact residual network",
        note="slow_fusion_small with 2 non-local blocks",
    ),
}
