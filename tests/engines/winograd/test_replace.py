"""Convolutions of a network are replaced where that is faster, and logits stay."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from kinema.engines.fold_norms import folded
from kinema.engines.winograd import conv as winograd_conv
from kinema.engines.winograd.packed_conv import HAS_ONEDNN, PackedConv
from kinema.engines.winograd.products import BatchedProducts, GroupedProducts
from kinema.engines.winograd.replace import WinogradConv, WinogradTimeConv, kind_of, with_winograd
from kinema.models import build

pytestmark = pytest.mark.usefixtures("compiled")
OVER_TIME = (3, 1, 1)


@pytest.fixture(params=[BatchedProducts, GroupedProducts])
def products(request, monkeypatch) -> type:
    """Each implementation of the products, whichever is faster here."""
    if request.param is GroupedProducts and not HAS_ONEDNN:
        pytest.skip("torch has no oneDNN here")
    monkeypatch.setattr(winograd_conv, "kind_of_products", lambda: request.param)
    return request.param


def test_only_large_plain_convolutions_are_replaced():
    def conv(inputs: int = 32, outputs: int = 32, kernel=3, padding=1, **others) -> nn.Conv3d:
        return nn.Conv3d(inputs, outputs, kernel, padding=padding, **others)

    assert kind_of(conv())
    assert kind_of(conv(kernel=(1, 3, 3), padding=(0, 1, 1)))
    assert kind_of(nn.Conv2d(32, 32, 3, padding=1))
    assert kind_of(conv(64, 128, OVER_TIME, (1, 0, 0)))
    others = [
        conv(8),
        conv(outputs=8),
        conv(kernel=(2, 3, 3)),
        conv(64, 64, OVER_TIME, (1, 0, 0)),
        conv(64, 128, OVER_TIME),
        conv(64, 128, OVER_TIME, (1, 0, 0), stride=(2, 1, 1)),
        conv(padding=0),
        conv(padding="same"),
        conv(padding_mode="replicate"),
        conv(stride=2),
        conv(stride=(2, 1, 1)),
        conv(dilation=2, padding=2),
        conv(groups=32),
        conv().double(),
        nn.utils.parametrizations.weight_norm(conv()),
        type("Own", (nn.Conv3d,), {})(32, 32, 3, padding=1),
        nn.Linear(32, 32),
    ]
    assert [other for other in others if kind_of(other)] == []
    watched = conv()
    watched.register_forward_hook(lambda *call: None)
    assert not kind_of(watched)


def test_each_kind_of_convolution_gets_its_layer():
    network = nn.Sequential(
        nn.Conv3d(64, 144, (1, 3, 3), padding=(0, 1, 1)),
        nn.Conv3d(144, 64, OVER_TIME, padding=(1, 0, 0)),
        nn.Conv3d(64, 256, 3, 2, padding=1),
        nn.Conv3d(256, 64, 1),
    )
    assert with_winograd(network) == 3
    assert [type(layer) for layer in network] == [WinogradConv, WinogradTimeConv, PackedConv, nn.Conv3d]


def test_relus_in_a_sequence_become_part_of_their_convolution():
    def conv() -> nn.Conv2d:
        return nn.Conv2d(32, 32, 3, padding=1)

    shared, watched = conv(), nn.ReLU()
    watched.register_forward_hook(lambda *call: None)
    network = nn.Sequential(
        nn.Sequential(conv(), nn.Sequential(), nn.Identity(), nn.ReLU(inplace=True), nn.ReLU()),
        nn.Sequential(conv(), nn.Dropout(), nn.ReLU()),
        nn.Sequential(conv(), watched),
        nn.ModuleList([conv(), nn.ReLU()]),
        nn.Sequential(shared, nn.ReLU(), shared),
        conv(),
    )
    assert with_winograd(network) == 5
    first, second, third, listed, twice, last = network
    assert first[0].relu
    assert [type(layer) for layer in first[3:]] == [nn.Identity, nn.ReLU]
    assert [layer.relu for layer in (second[0], third[0], listed[0], last)] == [False] * 4
    assert [type(layer) for layer in (second[2], third[1], listed[1])] == [nn.ReLU] * 3
    assert twice[0] is twice[2] is shared
    assert with_winograd(network) == 0


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize(
    ("name", "transformed", "num_packed"),
    [("r3d_18", {WinogradConv: 5}, 4), ("r2plus1d_18", {WinogradConv: 5, WinogradTimeConv: 4}, 8)],
)
def test_a_network_gives_the_same_logits(name: str, transformed: dict[type, int], num_packed: int):
    torch.manual_seed(0)
    network = build(name, num_classes=5, spec={"clip_len": 4, "size": (64, 64)}, depths=(2, 1, 1, 1)).eval()
    plain, fast = folded(network), folded(network)
    with_winograd(fast)
    clips = torch.randn(2, 3, 4, 64, 64)
    with torch.inference_mode():
        for see in ("features", "forward"):
            expected, found = getattr(plain, see)(clips), getattr(fast, see)(clips)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    layers = [module for module in fast.modules() if isinstance(module, PackedConv)]
    assert Counter(type(layer) for layer in layers if getattr(layer, "filters", None) is not None) == transformed
    assert sum(layer._packed is not None for layer in layers) == num_packed
