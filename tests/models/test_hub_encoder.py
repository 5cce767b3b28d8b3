"""Encoders behind one interface, with stand-ins for transformers' networks."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from kinema.models.hub_encoder import Encoder, Family
from kinema.types import InputSpec

CONFIG = SimpleNamespace(hidden_size=6, num_attention_heads=4, tubelet_size=2)
SPEC = InputSpec(clip_len=4, size=(8, 8))


class Core(nn.Module):
    """Records its input and returns given tokens."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.embeddings, self.tokens = nn.Linear(2, 2), tokens
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)) for _ in range(2)])
        self.layernorm = nn.LayerNorm(2)

    def forward(self, **inputs: Tensor) -> SimpleNamespace:
        self.seen = inputs
        return SimpleNamespace(last_hidden_state=self.tokens)


def encoder(family: Family, tokens: Tensor, config: SimpleNamespace = CONFIG) -> Encoder:
    return Encoder(family, Core(tokens), config, SPEC)


def test_clips_go_in_with_time_before_channels_under_the_name_of_the_kind():
    found = encoder(Family("Any", clip_name="pixel_values_videos", frames="num_frames"), torch.randn(2, 5, 6))
    clip = torch.randn(2, 3, 4, 8, 8)
    assert found(clip).shape == (2, 5, 6)
    assert torch.equal(found.core.seen["pixel_values_videos"], clip.transpose(1, 2))
    assert (found.width, found.num_heads, found.num_times) == (6, 2, 2)


def test_frames_alone_are_entries_of_the_batch():
    found = encoder(Family("Any"), torch.arange(48.0).view(8, 6))
    assert found.sees_frames_alone
    vectors = found(torch.randn(2, 3, 4, 8, 8))
    assert found.core.seen["pixel_values"].shape == (8, 3, 8, 8)
    assert torch.equal(vectors.flatten(0, 1), found.core.tokens)


def test_tokens_are_put_in_order_of_time_behind_the_class_token():
    names = ["class", "a0", "a1", "b0", "b1", "c0", "c1"]  # position, then time
    found = encoder(
        Family("Any", frames="num_frames", class_token=True, time_last=True), torch.arange(7.0)[None, :, None]
    )
    ordered = [names[int(value)] for value in found(torch.randn(1, 3, 4, 8, 8)).flatten()]
    assert ordered == ["class", "a0", "b0", "c0", "a1", "b1", "c1"]


def test_stages_are_the_embedding_and_each_block_the_last_with_what_follows():
    found = encoder(Family("Any"), torch.zeros(1))
    stages = found.stages()
    assert [name for name, _ in stages] == ["stem", "layers.0", "layers.1"]
    assert {id(p) for p in found.core.layernorm.parameters()} < {id(p) for p in stages[-1][1].parameters()}
