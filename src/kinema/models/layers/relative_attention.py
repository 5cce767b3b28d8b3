"""MViT's pooled attention, computed faster at inference: the same layers, the same numbers.

The relative position of two tokens adds to their attention score: one number for the distance in time, one in rows, one
in columns, each a product of the query with a learned vector. torchvision computes the sum for every pair of tokens and
adds it to a part of the scores in place, which takes longer than attention itself and which OpenVINO does element by
element. Here these products are additional channels of the query, and a key has ones in the three channels of its own
position, so that the product of query and key adds them up. The class token has no position, so zeros.

    query  [ q * scale | by time | by row | by column ]        key  [ k | 0 1 0 .. | 1 0 .. | 0 0 1 .. ]

On mvit_v2_s, one thread, this took OpenVINO from 3.1 to 1.6 s a clip in float32 and from 2.2 to 0.9 s in bfloat16, and
torch from 1.25 to 1.0 s in bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.video.mvit import MultiscaleAttention, Pool

Grid = tuple[int, int, int]  # places in time, rows, columns

_AXES = "thw"


class FastAttention(MultiscaleAttention):  # type: ignore[misc]
    """Replaces torchvision's attention and uses its layers.

    In training, and on the meta device, torchvision's own computation runs; multiply-adds are thus the published ones.

    Args:
        layers: of torchvision.
        grid: positions of the input tokens, without the class token.
    """

    def __init__(self, layers: MultiscaleAttention, grid: Grid) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(layers.__dict__)
        if self.rel_pos_t is not None:
            queries, keys = (pooled_grid(grid, pool) for pool in (self.pool_q, self.pool_k))
            self.register_buffer("key_places", places(keys), persistent=False)
            for axis, *sizes in zip(_AXES, queries, keys, strict=True):
                self.register_buffer(f"rows_{axis}", table_rows(*sizes), persistent=False)

    def forward(self, x: Float[Tensor, "b n f"], thw: Grid) -> tuple[Float[Tensor, "b m g"], Grid]:
        """The output tokens, and their grid after pooling."""
        if torch.is_grad_enabled() or x.is_meta:
            return super().forward(x, thw)
        parts = rearrange(self.qkv(x), "b n (part head c) -> part b head n c", part=3, head=self.num_heads)
        pools = (self.pool_q, self.pool_k, self.pool_v)
        (query, grid), (key, _), (value, _) = (
            (part, thw) if pool is None else pooled(pool, part, thw) for pool, part in zip(pools, parts, strict=True)
        )
        scaled = self.scaler * query
        if self.rel_pos_t is not None:
            scaled = torch.cat([scaled, self._position_scores(query, grid)], dim=-1)
            key = torch.cat([key, self.key_places.to(key.dtype).expand(*key.shape[:2], -1, -1)], dim=-1)
        out = attend(scaled, key, value)
        if self.residual_pool:
            shortcut = query if self.residual_with_cls_embed else F.pad(query[:, :, 1:], (0, 0, 1, 0))
            out = out + shortcut
        return self.project(rearrange(out, "b head n c -> b n (head c)")), grid

    def _position_scores(self, query: Float[Tensor, "b head n c"], grid: Grid) -> Float[Tensor, "b head n k"]:
        """What each query adds to its score for every time, row and column of a key."""
        spread = torch.unflatten(query[:, :, 1:], 2, grid)
        scores = []
        for axis in _AXES:
            table, rows = getattr(self, f"rel_pos_{axis}"), getattr(self, f"rows_{axis}")
            length = 2 * max(rows.shape) - 1
            if len(table) != length:
                table = F.interpolate(table.T[None], size=length, mode="linear")[0].T
            scores.append(torch.einsum(f"bnthwc,{axis}kc->bnthwk", spread, table[rows].to(query.dtype)))
        return F.pad(torch.cat(scores, dim=-1).flatten(2, 4), (0, 0, 1, 0))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention with scaled queries.

    On a CPU, with fewer channels in values than in keys, two products are faster than torch's own function.
    """
    if query.device.type == "cpu" and not torch.compiler.is_compiling():
        return (query @ key.transpose(2, 3)).softmax(dim=-1) @ value
    return F.scaled_dot_product_attention(query, key, value, scale=1.0)


def pooled(pool: Pool, tokens: Float[Tensor, "b head n c"], grid: Grid) -> tuple[Float[Tensor, "b head m c"], Grid]:
    """The tokens of each head after pooling, and the class token; channels stay last in memory."""
    batch, heads = tokens.shape[:2]
    maps = torch.unflatten(tokens[:, :, 1:], 2, grid).flatten(0, 1).permute(0, 4, 1, 2, 3)
    maps = pool.pool(maps.contiguous(memory_format=torch.channels_last_3d))
    left = rearrange(maps, "(b head) c t h w -> b head (t h w) c", b=batch, head=heads)
    return pool.norm_act(torch.cat([tokens[:, :, :1], left], dim=2)), pooled_grid(grid, pool)


def use_fast_attention(trunk: nn.Module) -> None:
    """Put `FastAttention` into all blocks of torchvision's MViT."""
    positions: Any = trunk.pos_encoding
    grid: Grid = (positions.temporal_size, *positions.spatial_size)
    for block in trunk.blocks:  # type: ignore[union-attr]
        block.attn = FastAttention(block.attn, grid)
        grid = pooled_grid(grid, block.attn.pool_q)


def pooled_grid(grid: Grid, pool: Pool | None) -> Grid:
    """The grid after pooling; filters are odd and padded by half of their size."""
    if pool is None:
        return grid
    time, rows, columns = ((size - 1) // step + 1 for size, step in zip(grid, pool.pool.stride, strict=True))
    return time, rows, columns


def table_rows(queries: int, keys: int) -> Int[Tensor, "q k"]:
    """The row of a learned table for the distance of each query from each key, on one axis.

    >>> table_rows(2, 2)
    tensor([[1, 0],
            [2, 1]])
    """
    query = torch.arange(queries)[:, None] * max(keys / queries, 1.0)
    key = (torch.arange(keys) + (1.0 - keys)) * max(queries / keys, 1.0)
    return (query - key).long()


def places(grid: Grid) -> Float[Tensor, "n k"]:
    """For each key ones at its time, row and column; zeros for the class token, which is the first."""
    ones = torch.cartesian_prod(*(torch.arange(size) for size in grid)).unbind(dim=1)
    marks = [F.one_hot(place, size) for place, size in zip(ones, grid, strict=True)]
    return F.pad(torch.cat(marks, dim=-1), (0, 0, 1, 0)).float()
