"""The fast attention gives the numbers of torchvision's."""

from __future__ import annotations

import pytest
import torch

from kinema.models import build


@pytest.mark.parametrize("name", ["mvit_v1_b", "mvit_v2_s"])
@pytest.mark.parametrize("spec", [{"clip_len": 8, "size": (96, 128)}, {"clip_len": 3, "size": (102, 61)}])
def test_fast_attention_is_the_one_of_torchvision(name: str, spec: dict[str, object]):
    """With positions that weigh as much as the tokens; tables of uneven grids have to be stretched."""
    torch.manual_seed(0)
    network = build(name, num_classes=3, spec=spec, width=1 / 12).eval()
    for key, parameter in network.named_parameters():
        if "rel_pos" in key:
            parameter.data.normal_()
    clips = torch.randn(2, *network.spec.shape)
    published = network(clips).detach()  # with gradients
    with torch.no_grad():
        torch.testing.assert_close(network(clips), published, rtol=1e-4, atol=1e-5)
        for key, parameter in network.named_parameters():
            if "rel_pos" in key:
                parameter.zero_()
        changed = float((network(clips) - published).abs().max())
    assert (changed > 1e-3) == (name == "mvit_v2_s"), "positions count"


def test_fast_attention_of_other_devices_gives_the_same(monkeypatch):
    torch.manual_seed(0)
    network = build("mvit_small", num_classes=3).eval()
    clips = torch.randn(1, *network.spec.shape)
    with torch.no_grad():
        expected = network(clips)
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        torch.testing.assert_close(network(clips), expected, rtol=1e-4, atol=1e-5)
