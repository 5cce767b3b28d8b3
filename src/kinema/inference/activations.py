"""What a network makes of clips before it names a class: its features, or the output of any layer by name.

Tran et al. (2015) took C3D's first fully connected layer (`fc6`) as a descriptor of any video. A layer's output is pooled
to one vector a clip; which axis holds the channels is told by the number of axes, as torch's layers have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.choices import POOLINGS, Pooling
from kinema.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from kinema.models.network import Network

Reader = Callable[[Float[Tensor, "b c t h w"]], Float[Tensor, "b f"]]


def reader(network: Network, layer: str | None = None, pool: Pooling = "mean") -> Reader:
    """A function from clips to a vector each.

    Args:
        network: in evaluation mode.
        layer: a module's name, as `kinema describe` lists them; None is `features()`, which are pooled already.
        pool: over space and time; "none" keeps every number.

    Raises:
        UnknownName: there is no such layer or way to pool.
        UsageError: when called, the layer is not run, or gives no tensor.
    """
    if pool not in POOLINGS:
        raise UnknownName("way to pool", pool, POOLINGS)
    if layer is None:
        return network.features
    names = [name for name, _ in network.named_modules() if name]
    if layer not in names:
        raise UnknownName("layer", layer, names, "`kinema describe` lists them")

    def read(clips: Tensor) -> Tensor:
        # One clip at a time: layers fold frames into the batch, or swap the two, each in its own way.
        return torch.cat([pooled(_output(network, layer, clip), pool) for clip in torch.split(clips, 1)])

    return read


def _output(network: Network, layer: str, clip: Float[Tensor, "1 c t h w"]) -> Tensor:
    """What a layer gives for one clip; where it is run several times, one after the other along the first axis."""
    seen: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: seen.extend(_first(output))
    )
    try:
        network(clip)
    finally:
        hook.remove()
    if not seen:
        raise UsageError("this layer is not run, or gives no tensor", layer, "name one that `kinema describe` shows")
    return torch.cat(seen)


def _first(output: Any) -> Iterator[Tensor]:
    """The first tensor in what a layer gave: recurrent layers give their state too."""
    values = (
        output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else [output]
    )
    yield from [value for value in values if isinstance(value, Tensor)][:1]


def pooled(output: Tensor, pool: Pooling) -> Float[Tensor, "1 f"]:
    """One vector of a layer's output for one clip.

    `[n f]` and `[b n f]` (vectors, tokens) have the channels last, `[n c h w]` and `[b c t h w]` (maps) second.
    """
    if pool == "none" or output.ndim < 2:
        return output.reshape(1, -1)
    rows = output.movedim(1, -1) if output.ndim > 3 else output
    rows = rows.reshape(-1, rows.shape[-1])
    return (rows.mean(dim=0) if pool == "mean" else rows.amax(dim=0))[None]
