"""Transformers that compute no more than they need: the same logits with fewer products."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kinema.engines.choose import open_scorer
from kinema.engines.options import EngineOptions
from kinema.engines.parity import probe_clips
from kinema.engines.prune import prune
from kinema.engines.scorer import Scorer
from kinema.models import build
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard

KINDS = {"joint": (2, 8, 8), "divided": (1, 8, 8)}


def transformer(attention: str, **changes: Any) -> Network:
    """A narrow one with weights large enough for attention to choose, and biases that count."""
    torch.manual_seed(0)
    network = build(
        "videomae_base", num_classes=4, width=128, depth=3, attention=attention, patch=KINDS[attention],
        spec={"clip_len": 6, "size": (32, 24)}, **changes,
    ).eval()  # fmt: skip
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.1 if parameter.ndim > 1 else 0.3)
    return network


def products(network: Network) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *network.spec.shape))
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize("attention", KINDS)
def test_logits_stay_and_the_network_is_left_as_it_is(attention: str):
    network = transformer(attention)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = prune(network)
    clips = torch.randn(2, *network.spec.shape)
    with torch.inference_mode():
        expected, found = network(clips), fast(clips)
    assert expected.std(0).min() > 1e-3, "clips differ"
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    shared = {value.data_ptr() for value in network.parameters()}
    assert {value.data_ptr() for name, value in fast.named_parameters() if "mlp" in name} <= shared


def test_unused_outputs_are_not_computed():
    """Tokens: 3 x 4 x 3 tubelets, or 6 x 4 x 3 patches and the class token, which each frame has a copy of."""
    joint, divided = (transformer(attention) for attention in KINDS)
    of_layer = 128 * 128
    assert products(joint) - products(prune(joint)) == (36 - 1) * 4 * of_layer
    outputs = 3 * 72 * of_layer  # two layers after the attention over time are one, in each block
    unasked = (
        6 * 12 * (2 * of_layer + 2 * 13 * 128)
    )  # queries, what they take, and its layer, for 12 places in 6 frames
    perceptron = 72 * 8 * of_layer
    assert products(divided) - products(prune(divided)) == outputs + unasked + perceptron


def test_torch_runs_what_was_left():
    network = transformer("divided")
    card = ModelCard.of(network, ("a", "b", "c", "d"))
    clips = probe_clips(network.spec, 3)
    exact = Scorer(network, device="cpu", precision="f32")(clips)
    scorer = open_scorer(network, card, EngineOptions(engine="torch", device="cpu", precision="f32"))
    assert products(scorer.folded_network()) < 0.9 * products(network)  # type: ignore[attr-defined]
    torch.testing.assert_close(torch.from_numpy(scorer(clips)), torch.from_numpy(exact), rtol=1e-4, atol=1e-4)


def test_other_networks_are_taken_as_they_are():
    network = build("late_fusion_tiny", num_classes=2).eval()
    assert prune(network) is network
