"""Convolutions whose filters lie as oneDNN reads them: the numbers of torch's own."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.engines.winograd.packed_conv import PackedConv

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")

KINDS = {
    "clips": (nn.Conv3d(128, 80, 3, padding=1), (2, 7, 7)),
    "strided": (nn.Conv3d(128, 80, 3, 2, padding=1), (4, 14, 13)),
    "over time": (nn.Conv3d(512, 180, (3, 1, 1), padding=(1, 0, 0)), (2, 7, 7)),
    "pixels": (nn.Conv3d(512, 512, 1), (1, 7, 7)),
    "far apart": (nn.Conv3d(128, 80, 3, dilation=(1, 2, 2), padding=(0, 2, 1), bias=False), (4, 9, 9)),
    "pictures": (nn.Conv2d(256, 120, 3, padding=1), (7, 7)),
    "strided pictures": (nn.Conv2d(256, 120, 3, (2, 1)), (14, 7)),
}


@pytest.fixture(params=KINDS)
def kind(request) -> tuple[nn.Conv2d | nn.Conv3d, tuple[int, ...]]:
    """A convolution and the size of clips for it."""
    conv, size = KINDS[request.param]
    return copy.deepcopy(conv).requires_grad_(False), size


@pytest.fixture
def calls(monkeypatch) -> list[torch.Size]:
    """Shapes of inputs that were computed with packed filters."""
    done: list[torch.Size] = []
    has_few = PackedConv._has_few_positions

    def counted(conv: PackedConv, x: Tensor) -> bool:
        packs = has_few(conv, x)
        done.extend([x.shape] if packs else [])
        return packs

    monkeypatch.setattr(PackedConv, "_has_few_positions", counted)
    return done


def make(**options) -> nn.Conv3d:
    return nn.Conv3d(128, 80, 3, padding=1, **options).requires_grad_(False)


def clip(*shape: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(shape or (1, 128, 2, 7, 7))


def assert_near(found: Tensor, conv: nn.Module, x: Tensor) -> None:
    expected = copy.deepcopy(conv).double()(x.double())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-5 * max(1, float(expected.abs().max())))


@pytest.mark.parametrize("relu", [True, False])
def test_numbers_are_those_of_the_convolution(kind, relu: bool, calls: list[torch.Size]):
    conv, size = kind
    layer = PackedConv(conv, relu)
    assert PackedConv.suits(conv)
    x = clip(1, conv.in_channels, *size)
    expected = nn.Sequential(conv, nn.ReLU()) if relu else conv
    for lies in (x, x.movedim(1, -1).contiguous().movedim(-1, 1), x.flip(-1)):
        out = layer(lies)
        assert_near(out, expected, lies)
        assert out.movedim(1, -1).is_contiguous()
    assert len(calls) == 3


def test_later_clips_may_be_of_another_size(calls: list[torch.Size]):
    conv, layer = make(), PackedConv(make())
    layer.weight, layer.bias = conv.weight, conv.bias
    usual = torch.get_num_threads()
    for shape in ((1, 2, 7, 7), (4, 2, 7, 7), (1, 3, 9, 5), (1, 1, 1, 1), (1, 2, 7, 7)):
        x = clip(shape[0], 128, *shape[1:])
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert_near(layer(x), conv, x)
        torch.set_num_threads(usual)
    assert len(calls) == 10


def test_calls_of_many_places_and_small_filters_are_those_of_the_convolution(calls: list[torch.Size]):
    conv = make()
    for shape in ((1, 128, 4, 14, 14), (6, 128, 2, 7, 7), (0, 128, 2, 7, 7)):
        assert torch.equal(PackedConv(conv)(clip(*shape)), conv(clip(*shape)))
    small = nn.Conv3d(32, 32, 3, padding=1).requires_grad_(False)
    assert torch.equal(PackedConv(small)(clip(1, 32, 2, 7, 7)), small(clip(1, 32, 2, 7, 7)))
    assert not PackedConv.suits(small)
    assert not calls


def test_only_plain_convolutions_suit():
    others = [
        nn.Conv3d(128, 80, 3, padding="same"),
        nn.Conv3d(128, 80, 3, padding=1, padding_mode="replicate"),
        nn.Conv3d(512, 512, 3, groups=8),
        nn.Conv3d(128, 80, 3).double(),
        nn.Conv3d(128, 80, 3, device="meta"),
    ]
    assert [other for other in others if PackedConv.suits(other)] == []


@pytest.mark.parametrize("relu", [True, False])
def test_what_is_no_number_stays_none(relu: bool):
    conv, x = make(), clip()
    x[0, 3, 0, 2, 2] = torch.nan
    assert torch.equal(PackedConv(conv, relu)(x).isnan(), conv(x).isnan())


def test_other_formats_and_gradients_are_those_of_the_convolution(calls: list[torch.Size]):
    conv, x = make(), clip()
    layer = PackedConv(conv)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), conv(x))
    assert torch.equal(copy.deepcopy(layer).double()(x.double()), copy.deepcopy(conv).double()(x.double()))
    assert copy.deepcopy(layer).to("meta")(x.to("meta")).is_meta
    PackedConv(copy.deepcopy(conv).requires_grad_())(x).sum().backward()
    PackedConv(conv)(clip().requires_grad_()).sum().backward()
    with pytest.raises(RuntimeError, match="expected input"):
        layer(clip(1, 127, 2, 7, 7))
    assert not calls


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_tensors_of_every_mode_go_in_and_come_out(mode: Callable):
    conv = make()
    layer = PackedConv(conv)
    with torch.inference_mode():
        inside = clip() + 0
        first = layer(inside)
    with mode():
        for x in (inside, clip()):
            assert_near(layer(x), conv, x)
    assert first.is_inference()


def test_a_copy_puts_its_filters_in_order_itself(calls: list[torch.Size]):
    conv, x = make(), clip()
    layer = PackedConv(conv)
    out = layer(x)
    copied = copy.deepcopy(layer)
    assert copied._packed is None
    assert torch.equal(copied(x), out)
    assert len(calls) == 2
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert layer.weight is conv.weight


def test_filters_of_inference_mode_are_put_in_order_too():
    with torch.inference_mode():
        conv = nn.Conv3d(128, 80, 3, padding=1)
        assert torch.allclose(PackedConv(conv)(clip()), F.conv3d(clip(), conv.weight, conv.bias, padding=1), atol=1e-4)
