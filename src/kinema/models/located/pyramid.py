"""A feature pyramid over time whose blocks attend to nearby positions (ActionFormer; Zhang, Wu and Li, ECCV 2022).

Level l has every 2^l-th position of the features; position j of it lies at position j * 2^l of level 0. Padding is masked
everywhere, so that a sequence gives the same alone and in a batch of longer ones.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

Level = tuple[Float[Tensor, "_ _ _"], Bool[Tensor, "_ _"]]
"""Features of a level [b t c], and which positions are no padding [b t]."""

_BLOCK = 32
_EMBEDDING_LAYERS = 2


def local_attention(
    query: Float[Tensor, "b h t d"],
    key: Float[Tensor, "b h t d"],
    value: Float[Tensor, "b h t d"],
    mask: Bool[Tensor, "b t"],
    window: int,
) -> Float[Tensor, "b h t d"]:
    """Attention of each position to the `window` positions around it that are no padding, in linear time and memory.

    Positions are computed in blocks, each with the keys that any position of the block can see.

    Args:
        query: of each head.
        key: of each head.
        value: of each head.
        mask: False for padding.
        window: an odd number of positions.
    """
    radius, length = window // 2, query.shape[2]
    size = min(_BLOCK, length)
    fill = -length % size
    padded = functional.pad(query, (0, 0, 0, fill))
    blocks = padded.reshape(*query.shape[:2], -1, size, query.shape[3])
    seen = (0, 0, radius, fill + radius)
    keys = functional.pad(key, seen).unfold(2, size + 2 * radius, size)
    values = functional.pad(value, seen).unfold(2, size + 2 * radius, size)
    real = functional.pad(mask, (radius, fill + radius)).unfold(1, size + 2 * radius, size)
    apart = torch.arange(size + 2 * radius, device=mask.device) - torch.arange(size, device=mask.device)[:, None]
    allowed = ((apart >= 0) & (apart <= 2 * radius)) & real[:, None, :, None]
    scores = (blocks * query.shape[-1] ** -0.5) @ keys
    weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return (weights @ values.transpose(-1, -2)).flatten(2, 3)[:, :, :length]


def neighbours(features: Float[Tensor, "b t c"], stride: int = 1) -> list[Float[Tensor, "b s c"]]:
    """The features before, at and after every `stride`-th position; zeros beyond the ends."""
    padded, length = functional.pad(features, (0, 0, 1, 1)), features.shape[1]
    return [padded[:, shift : shift + length : stride] for shift in range(3)]


class MaskedConv(nn.Module):
    """A convolution of three positions, norm, rectifier; padding stays zero. As a linear layer, it is fastest on a CPU."""

    def __init__(self, num_in: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * num_in, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """The same number of positions."""
        joined = torch.cat(neighbours(features), dim=2)
        return self.norm(self.linear(joined)).relu() * mask[..., None]


class Projection(nn.Module):
    """Queries, keys or values: a convolution of three positions for each channel alone, norm, a linear layer."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.filters = nn.Parameter(torch.randn(3, width) * 3**-0.5)
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, features: Float[Tensor, "b t c"]) -> Float[Tensor, "b s c"]:
        """Every `stride`-th position."""
        before, here, after = neighbours(features, self.stride)
        mixed = before * self.filters[0] + here * self.filters[1] + after * self.filters[2]
        return self.linear(self.norm(mixed))


class AttentionBlock(nn.Module):
    """A transformer block with local attention; with stride 2 it halves the number of positions.

    Args:
        width: channels.
        heads: of the attention.
        window: positions that each one attends to.
        stride: 1 or 2.
        drop_path: share of the examples for which a branch is left out while training.
    """

    def __init__(self, width: int, heads: int, window: int, stride: int, drop_path: float) -> None:
        super().__init__()
        self.heads, self.window, self.stride, self.drop_path = heads, window, stride, drop_path
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.ModuleList(Projection(width, stride) for _ in range(3))
        self.join = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, features: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t"]) -> Level:
        """The next features and their mask."""
        normed = self.first_norm(features) * mask[..., None]
        mask = mask[:, :: self.stride]
        size = (len(mask), mask.shape[1], self.heads, -1)
        query, key, value = (project(normed).reshape(size).transpose(1, 2) for project in self.project)
        attended = local_attention(query, key, value, mask, self.window).transpose(1, 2).flatten(2)
        if self.stride > 1:
            before, here, after = neighbours(features, self.stride)
            features = before.maximum(here).maximum(after)
        features = features + self._kept(self.join(attended))
        features = features + self._kept(self.mlp(self.second_norm(features)))
        return features * mask[..., None], mask

    def _kept(self, branch: Float[Tensor, "b t c"]) -> Float[Tensor, "b t c"]:
        if not self.training or not self.drop_path:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * kept / (1 - self.drop_path)


class Pyramid(nn.Module):
    """Features of a video at several time scales.

    Args:
        num_in: length of the encoder's feature vectors.
        width: channels.
        levels: number of levels; each has half the positions of the one before.
        stem: blocks at full resolution before level 0.
        heads: of the attention.
        window: positions that each one attends to, an odd number.
        drop_path: see `AttentionBlock`.
    """

    def __init__(
        self, num_in: int, width: int, levels: int, stem: int, heads: int, window: int, drop_path: float
    ) -> None:
        super().__init__()
        if window < 1 or window % 2 == 0 or width % heads or levels < 1:
            raise ValueError(f"window is odd, width a multiple of heads, got {window=}, {width=}, {heads=}, {levels=}")
        self.input_norm = nn.LayerNorm(num_in)  # features of encoders differ in scale by orders of magnitude
        sizes = [num_in] + [width] * (_EMBEDDING_LAYERS - 1)
        self.embedding = nn.ModuleList(MaskedConv(size, width) for size in sizes)
        self.stem = nn.ModuleList(AttentionBlock(width, heads, window, 1, drop_path) for _ in range(stem))
        self.branch = nn.ModuleList(AttentionBlock(width, heads, window, 2, drop_path) for _ in range(levels - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(levels))
        self.strides = tuple(2**level for level in range(levels))
        attended = window // 2
        self.reach: int = _EMBEDDING_LAYERS + stem * (1 + attended)
        """How many positions of level 0 to either side the output of a position depends on."""
        self.reach += sum(stride // 2 + attended * stride for stride in self.strides[1:])

    def forward(self, features: Float[Tensor, "b t f"], mask: Bool[Tensor, "b t"]) -> list[Level]:
        """The levels from the finest on.

        Args:
            features: the number of positions is a multiple of the largest stride.
            mask: False for padding.
        """
        current = self.input_norm(features) * mask[..., None]
        for layer in self.embedding:
            current = layer(current, mask)
        for block in self.stem:
            current, mask = block(current, mask)
        levels = [(current, mask)]
        for block in self.branch:
            levels.append(block(*levels[-1]))
        return [(norm(level), mask) for norm, (level, mask) in zip(self.norms, levels, strict=True)]
