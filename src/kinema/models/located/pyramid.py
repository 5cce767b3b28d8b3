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
"""Features of a level [b c t], and which positions are no padding [b t]."""

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


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [b c t]."""

    def forward(self, input: Float[Tensor, "b c t"]) -> Float[Tensor, "b c t"]:
        """Each position by its own mean and deviation."""
        return super().forward(input.transpose(1, 2)).transpose(1, 2)


class MaskedConv(nn.Module):
    """A convolution of three positions, norm, rectifier; padding stays zero."""

    def __init__(self, num_in: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(num_in, width, 3, padding=1, bias=False)
        self.norm = ChannelNorm(width)

    def forward(self, features: Float[Tensor, "b c t"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b d t"]:
        """The same number of positions."""
        return self.norm(self.conv(features)).relu() * mask[:, None]


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
        self.first_norm, self.second_norm = ChannelNorm(width), ChannelNorm(width)
        depthwise = [nn.Conv1d(width, width, 3, stride, padding=1, groups=width, bias=False) for _ in range(3)]
        self.project = nn.ModuleList(
            nn.Sequential(conv, ChannelNorm(width), nn.Conv1d(width, width, 1)) for conv in depthwise
        )
        self.join = nn.Conv1d(width, width, 1)
        self.mlp = nn.Sequential(nn.Conv1d(width, 4 * width, 1), nn.GELU(), nn.Conv1d(4 * width, width, 1))

    def forward(self, features: Float[Tensor, "b c t"], mask: Bool[Tensor, "b t"]) -> Level:
        """The next features and their mask."""
        normed = self.first_norm(features) * mask[:, None]
        mask = mask[:, :: self.stride]
        query, key, value = (project(normed).unflatten(1, (self.heads, -1)).transpose(2, 3) for project in self.project)
        attended = local_attention(query, key, value, mask, self.window).transpose(2, 3).flatten(1, 2)
        if self.stride > 1:
            features = functional.max_pool1d(features, self.stride + 1, self.stride, padding=(self.stride + 1) // 2)
        features = features + self._kept(self.join(attended))
        features = features + self._kept(self.mlp(self.second_norm(features)))
        return features * mask[:, None], mask

    def _kept(self, branch: Float[Tensor, "b c t"]) -> Float[Tensor, "b c t"]:
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
        self.norms = nn.ModuleList(ChannelNorm(width) for _ in range(levels))
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
        current = self.input_norm(features).transpose(1, 2) * mask[:, None]
        for layer in self.embedding:
            current = layer(current, mask)
        for block in self.stem:
            current, mask = block(current, mask)
        levels = [(current, mask)]
        for block in self.branch:
            levels.append(block(*levels[-1]))
        return [(norm(level), mask) for norm, (level, mask) in zip(self.norms, levels, strict=True)]
