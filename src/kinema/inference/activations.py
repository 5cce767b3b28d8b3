"""Vectors of clips from inside a network: its features, or the output of any layer by name.

Tran et al. (2015) use C3D's first fully connected layer (`fc6`) as a descriptor of any video. A layer's output is pooled to
one vector per clip; the number of axes decides which axis holds the channels, as in torch's layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.choices import POOLINGS, Pooling
from kinema.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from kinema.models.network import Network

Reader = Callable[[Float[Tensor, "b c t h w"]], Float[Tensor, "b f"]]


def reader(network: Network, layer: str | None = None, pool: Pooling = "mean") -> Reader:
    """A function from clips to one vector each.

    Args:
        network: in evaluation mode.
        layer: name of a module, as `kinema describe` lists them; None is `features()`, which are pooled already.
        pool: pooling over space and time; "none" keeps all numbers.

    Raises:
        UnknownName: there is no such layer or pooling.
        UsageError: raised by the function, if the layer is not run or returns no tensor.
    """
    if pool not in POOLINGS:
        raise UnknownName("way to pool", pool, POOLINGS)
    if layer is None:
        return network.features
    names = [name for name, _ in network.named_modules() if name]
    if layer not in names:
        raise UnknownName("layer", layer, names, "`kinema describe` lists them")

    def read(clips: Tensor) -> Tensor:
        # One clip at a time: inside a network, clips and frames may share the first axis in an order of its own.
        return torch.cat([pooled(_layer_output(network, layer, clip), pool) for clip in torch.split(clips, 1)])

    return read


def _layer_output(network: Network, layer: str, clip: Float[Tensor, "1 c t h w"]) -> Tensor:
    """Output of a layer for one clip; several runs of the layer are concatenated along the first axis."""
    outputs: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: object) -> None:
        if isinstance(output, Mapping):
            output = list(output.values())
        several = output if isinstance(output, list | tuple) else [output]
        outputs.extend(
            [value for value in several if isinstance(value, Tensor)][:1]
        )  # recurrent layers give states too

    hook = network.get_submodule(layer).register_forward_hook(keep)
    try:
        network(clip)
    finally:
        hook.remove()
    if not outputs:
        raise UsageError("this layer is not run, or gives no tensor", layer, "name one that `kinema describe` shows")
    return torch.cat(outputs)


def pooled(output: Tensor, pool: Pooling) -> Float[Tensor, "1 f"]:
    """Pool a layer's output for one clip to one vector.

    The channels are the last axis of `[n f]` and `[b n f]` (vectors, tokens), the second of `[n c h w]` and `[b c t h w]` (maps).
    """
    if pool == "none" or output.ndim < 2:
        return output.reshape(1, -1)
    rows = output.movedim(1, -1) if output.ndim > 3 else output
    rows = rows.reshape(-1, rows.shape[-1])
    return (rows.mean(dim=0) if pool == "mean" else rows.amax(dim=0))[None]
