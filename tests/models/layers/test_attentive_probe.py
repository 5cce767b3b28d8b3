"""The attentive probe: parity with V-JEPA 2's pooler, lengths, and finding what a mean loses."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from kinema.models.layers.attentive_probe import FROM_VJEPA2, AttentiveProbe
from kinema.weights.convert import convert


@pytest.fixture(scope="module")
def pooler() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("transformers")
        module = pytest.importorskip("transformers.models.vjepa2.modeling_vjepa2")

    def build(depth: int) -> nn.Module:
        config = library.VJEPA2Config(hidden_size=48, num_attention_heads=4, num_pooler_layers=depth)
        config._attn_implementation = "eager"
        model = module.VJEPA2AttentivePooler(config)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.2)
        return model.eval()

    return build


@pytest.mark.parametrize("depth", [0, 3])
def test_vector_is_that_of_v_jepa(pooler: Any, depth: int):
    torch.manual_seed(0)
    theirs, ours = pooler(depth), AttentiveProbe(48, 4, depth)
    ours.load_state_dict(convert(theirs.state_dict(), FROM_VJEPA2))
    tokens = torch.randn(2, 7, 48)
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [0, 1])
def test_padding_behind_the_length_changes_nothing(depth: int):
    torch.manual_seed(0)
    probe = AttentiveProbe(32, 4, depth, num_positions=6)
    tokens = torch.randn(2, 6, 32)
    with torch.no_grad():
        found = probe(tokens, torch.tensor([6, 4]))
        torch.testing.assert_close(found[0], probe(tokens[:1])[0])
        torch.testing.assert_close(found[1], probe(tokens[1:, :4])[0])


def test_only_positions_tell_the_order_of_the_tokens():
    torch.manual_seed(0)
    tokens = torch.randn(1, 6, 32)
    with torch.no_grad():
        for num_positions, tells in ((0, False), (6, True)):
            probe = AttentiveProbe(32, 4, num_positions=num_positions)
            for parameter in probe.parameters():
                nn.init.normal_(parameter, std=0.3)
            assert torch.allclose(probe(tokens), probe(tokens.flip(1)), atol=1e-5) != tells


def test_it_finds_the_one_token_that_matters():
    """Seven tokens are noise; the eighth is marked, and its sign is the class. In the mean it drowns."""
    torch.manual_seed(0)

    def batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        sides = torch.randint(0, 2, (count,))
        tokens = 2 * torch.randn(count, 8, 32)
        places = torch.randint(0, 8, (count,))
        tokens[torch.arange(count), places, 0] = 12.0
        tokens[torch.arange(count), places, 1:5] = (sides * 2.0 - 1)[:, None] * 1.5
        return tokens, sides

    probe, head = AttentiveProbe(32, 4), nn.Linear(32, 2)
    optimizer = torch.optim.AdamW([*probe.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(150):
        tokens, sides = batch(64)
        loss = nn.functional.cross_entropy(head(probe(tokens)), sides)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tokens, sides = batch(400)
    with torch.no_grad():
        found = (head(probe(tokens)).argmax(1) == sides).float().mean()
    mean_rule = ((tokens.mean(1)[:, 1:5].sum(1) > 0) == sides.bool()).float().mean()  # the best that a mean can do
    assert found > 0.9 > mean_rule + 0.1


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of the heads"):
        AttentiveProbe(32, 5)
