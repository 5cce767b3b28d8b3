"""Attentive probe: a learned query that attends to all tokens of a frozen encoder (V-JEPA, Bardes et al. 2024).

A linear layer on the mean of the tokens gets only what they have in common; a query finds the few that matter. V-JEPA
and V-JEPA 2 (Assran et al. 2025) are evaluated with such a probe, V-JEPA 2 with three blocks of self-attention before it.
The probe itself is blind to the order of the tokens. Encoders of clips put positions into the tokens; for encoders of
single images `num_positions` adds learned ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class ProbeAttention(nn.Module):
    """Multi-head attention of queries to tokens; `projected` adds an output layer."""

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
        """Attention of each query to the tokens, or only to those where `inside` is true."""
        parts = (self.query(queries), self.key(tokens), self.value(tokens))
        query, key, value = (rearrange(part, "b n (h d) -> b h n d", h=self.num_heads) for part in parts)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=inside)
        return self.output(rearrange(attended, "b h n d -> b n (h d)"))


class ProbeBlock(nn.Module):
    """Attention and a perceptron, each after a norm and with a shortcut.

    With `learned_query`, queries are not normalised, and the attention has no output layer.
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
        """The updated queries."""
        normed = queries if self.learned_query else self.norm1(queries)
        queries = queries + self.attention(normed, self.norm1(tokens), inside)
        return queries + self.fc2(self.gelu(self.fc1(self.norm2(queries))))


class AttentiveProbe(nn.Module):
    """One vector from many tokens.

    Args:
        width: of the tokens and of the vector, a multiple of `num_heads`.
        num_heads: of each attention.
        depth: blocks of self-attention before the query: 0 (V-JEPA) to 3 (V-JEPA 2).
        num_positions: number of learned positions to add to the tokens; 0 if they contain positions already.
    """

    def __init__(self, width: int, num_heads: int, depth: int = 0, num_positions: int = 0) -> None:
        super().__init__()
        self.question = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, num_positions, width)) if num_positions else None
        self.blocks = nn.ModuleList(ProbeBlock(width, num_heads) for _ in range(depth))
        self.asking = ProbeBlock(width, num_heads, learned_query=True)
        for parameter in (self.question, self.positions):
            if parameter is not None:
                nn.init.trunc_normal_(parameter, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, tokens: Float[Tensor, "b n f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b f"]:
        """The vector of each row.

        Args:
            tokens: of an encoder.
            lengths: number of valid tokens of each row, from the first on; None: all are valid.
        """
        if self.positions is not None:
            tokens = tokens + self.positions[:, : tokens.shape[1]]
        inside: Bool[Tensor, "b 1 1 n"] | None = None
        if lengths is not None:
            places = torch.arange(tokens.shape[1], device=tokens.device)
            inside = (places[None] < lengths.to(tokens.device)[:, None])[:, None, None]
        for block in self.blocks:
            tokens = block(tokens, tokens, inside)
        return self.asking(self.question.expand(tokens.shape[0], -1, -1), tokens, inside)[:, 0]


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
