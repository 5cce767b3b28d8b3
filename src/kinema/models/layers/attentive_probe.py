"""Attentive probe: a learned question put to all tokens of a frozen encoder (V-JEPA, Bardes et al. 2024).

A linear layer on the mean of an encoder's tokens sees what all of them share; one vector that attends to them finds the
few that matter. V-JEPA and V-JEPA 2 (Assran et al. 2025) are judged by such a probe, V-JEPA 2 with three blocks of
self-attention before it. The probe knows neither the order nor the place of the tokens: what an encoder of clips says of
them is in the tokens, an encoder of single pictures says nothing of it, and `num_positions` gives them a learned place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class ProbeAttention(nn.Module):
    """Multi-head attention of queries to tokens; `projected` adds the linear layer behind it."""

    def __init__(self, width: int, num_heads: int, projected: bool) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"the width must be a multiple of the heads, got {width=}, {num_heads=}")
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width) if projected else nn.Identity()

    def forward(
        self,
        queries: Float[Tensor, "b m f"],
        tokens: Float[Tensor, "b n f"],
        inside: Bool[Tensor, "b 1 1 n"] | None = None,
    ) -> Float[Tensor, "b m f"]:
        """What each query takes from the tokens; from those `inside` only, where it is given."""
        parts = (self.query(queries), self.key(tokens), self.value(tokens))
        query, key, value = (rearrange(part, "b n (h d) -> b h n d", h=self.num_heads) for part in parts)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=inside)
        return self.output(rearrange(attended, "b h n d -> b n (h d)"))


class ProbeBlock(nn.Module):
    """Attention and a perceptron, each behind a norm and beside a shortcut.

    `learned_query`: queries come from outside and go in as they are, and there is no linear layer behind the attention.
    """

    def __init__(self, width: int, num_heads: int, learned_query: bool = False) -> None:
        super().__init__()
        self.learned_query = learned_query
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = ProbeAttention(width, num_heads, projected=not learned_query)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.fc1 = nn.Linear(width, 4 * width)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(4 * width, width)

    def forward(
        self,
        queries: Float[Tensor, "b m f"],
        tokens: Float[Tensor, "b n f"],
        inside: Bool[Tensor, "b 1 1 n"] | None = None,
    ) -> Float[Tensor, "b m f"]:
        """The queries with what they found."""
        asked = queries if self.learned_query else self.norm1(queries)
        queries = queries + self.attention(asked, self.norm1(tokens), inside)
        return queries + self.fc2(self.gelu(self.fc1(self.norm2(queries))))


class AttentiveProbe(nn.Module):
    """One vector from many tokens.

    Args:
        width: of the tokens, and of the vector.
        num_heads: of each attention; the width must divide by it.
        depth: blocks of self-attention before the question is put: 0 (V-JEPA) to 3 (V-JEPA 2).
        num_positions: a learned place for each of so many tokens; 0 where they carry their places already.
    """

    def __init__(self, width: int, num_heads: int, depth: int = 0, num_positions: int = 0) -> None:
        super().__init__()
        self.question = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, num_positions, width)) if num_positions else None
        self.blocks = nn.ModuleList(ProbeBlock(width, num_heads) for _ in range(depth))
        self.asking = ProbeBlock(width, num_heads, learned_query=True)
        self._init_weights()

    def forward(self, tokens: Float[Tensor, "b n f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b f"]:
        """The vector of each row.

        Args:
            tokens: what an encoder gave.
            lengths: how many of the n tokens of each row count, from the first on; None: all do.
        """
        if self.positions is not None:
            tokens = tokens + self.positions[:, : tokens.shape[1]]
        inside = None if lengths is None else _first(lengths.to(tokens.device), tokens.shape[1])
        for block in self.blocks:
            tokens = block(tokens, tokens, inside)
        return self.asking(self.question.expand(tokens.shape[0], -1, -1), tokens, inside)[:, 0]

    def _init_weights(self) -> None:
        for parameter in (self.question, self.positions):
            if parameter is not None:
                nn.init.trunc_normal_(parameter, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)


def _first(lengths: Int[Tensor, " b"], count: int) -> Bool[Tensor, "b 1 1 n"]:
    return (torch.arange(count, device=lengths.device)[None] < lengths[:, None])[:, None, None]


FROM_VJEPA2: tuple[tuple[str, str], ...] = (
    (r"pooler\.", ""),
    (r"query_tokens", "question"),
    (r"self_attention_layers\.", "blocks."),
    (r"cross_attention_layer\.", "asking."),
    (r"(.*)\.layer_norm([12])\.", r"\1.norm\2."),
    (r"(.*)\.mlp\.fc", r"\1.fc"),
    (r"(.*)\.(?:self|cross)_attn\.", r"\1.attention."),
    (r"(.*attention)\.q_proj\.", r"\1.query."),
    (r"(.*attention)\.k_proj\.", r"\1.key."),
    (r"(.*attention)\.v_proj\.", r"\1.value."),
    (r"(.*attention)\.out_proj\.", r"\1.output."),
)
"""Names of the pooler of transformers' VJEPA2ForVideoClassification."""
