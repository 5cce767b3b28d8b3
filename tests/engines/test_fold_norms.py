"""Batch norms folded into convolutions: the same logits, where and only where it may be done."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kinema.engines.choose import open_scorer
from kinema.engines.fold_norms import FoldedScorer, foldable, folded
from kinema.engines.options import EngineOptions
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import Scorer
from kinema.models import build
from kinema.models.network import Network
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard

SPEC = InputSpec(clip_len=4, size=(16, 16))
SOME = ("slow_fusion_tiny", "r3d_small", "r2plus1d_small", "s3d_small", "slowfast_small", "x3d_xs", "tsm_small")
OTHERS = ("two_stream_small", "inflated_small", "nonlocal_small", "causal_small", "conv_gru_small", "late_fusion_small")


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def scatter(network: Network) -> Network:
    """Statistics as if something had been learned."""
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            for tensor in (layer.weight, layer.running_var):
                tensor.data.uniform_(0.5, 1.5, generator=generator)
            for tensor in (layer.bias, layer.running_mean):
                tensor.data.normal_(0, 0.2, generator=generator)
    return network.eval()


@pytest.mark.parametrize("name", [*SOME, *OTHERS])
def test_networks_without_their_norms_give_the_same_logits(name: str):
    torch.manual_seed(0)
    spec = {"clip_len": 8, "size": (64, 64)}
    network = scatter(build(name, num_classes=3, spec=spec))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fast = folded(network)
    assert norms(fast) <= norms(network) / 3, "most of the work is saved"
    clips = torch.randn(2, *network.spec.shape)
    with torch.inference_mode():
        expected, found = network(clips), fast(clips)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    after = network.state_dict()
    assert list(after) == list(before), "the network itself is left as it is"
    assert all(torch.equal(after[key], before[key]) for key in before)


class Tangled(Network):
    """A convolution with a norm behind it, in which something else happens too."""

    def __init__(self, change: str) -> None:
        super().__init__(SPEC, 4, 2)
        self.conv, self.norm, self.change = nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), change
        self.other = nn.BatchNorm3d(4)

    def features(self, clip: Tensor) -> Tensor:
        x = self.conv(clip)
        if self.change == "rectified before":
            x = x.relu()
        out = self.norm(x)
        if self.change == "convolution read twice":
            out = out + x.mean()
        if self.change == "convolution run twice":
            out = out + self.other(self.conv(clip.flip(2)))
        if self.change == "norm run twice":
            out = self.norm(out)
        return out.mean((2, 3, 4))

    def stages(self) -> list[tuple[str, nn.Module]]:
        return []


@pytest.mark.parametrize(
    "change", ["rectified before", "convolution read twice", "convolution run twice", "norm run twice"]
)
def test_norm_that_something_else_depends_on_is_left(change: str):
    network = scatter(Tangled(change))
    assert list(foldable(network)) == []
    assert folded(network) is network
    assert list(foldable(scatter(Tangled("")))) == [("conv", "norm")]


@pytest.mark.parametrize("backbone", ["mobilenetv3_small_050", "resnet18"])
def test_relus_inside_norms_of_timm_stay(backbone: str):
    torch.manual_seed(0)
    network = scatter(build("late_fusion", backbone=backbone, num_classes=3, spec={"clip_len": 2, "size": (64, 64)}))
    fast = folded(network)
    assert norms(fast) < norms(network) / 3
    clips = torch.randn(2, *network.spec.shape)
    with torch.inference_mode():
        torch.testing.assert_close(fast(clips), network(clips), rtol=1e-4, atol=1e-4)


def scorers(name: str, **spec: object) -> tuple[FoldedScorer, Scorer]:
    torch.manual_seed(0)
    network = scatter(build(name, num_classes=3, spec={"clip_len": 4, "size": (32, 32), **spec}))
    card = ModelCard.of(network, ("a", "b", "c"))
    fast = open_scorer(network, card, EngineOptions(engine="torch", device="cpu", precision="f32"))
    assert isinstance(fast, FoldedScorer)
    return fast, Scorer(network, device="cpu", precision="f32")


def test_engine_torch_folds_on_a_cpu_and_keeps_the_network():
    fast, exact = scorers("slow_fusion_tiny")
    clips = probe_clips(fast.spec, 3)
    torch.testing.assert_close(fast(clips), exact(clips), rtol=1e-4, atol=1e-5)
    assert fast.network is exact.network
    assert norms(fast.network) > norms(fast.folded_network()) == 0


def test_frames_that_windows_share_go_through_the_folded_network():
    fast, exact = scorers("late_fusion_tiny")
    frames = probe_clips(fast.spec, 3).transpose(1, 2).flatten(0, 1)[:, :, None]
    encode: list[Callable[..., object]] = []
    for scorer in (fast, exact):
        parts = scorer.frame_scorer()
        assert parts is not None
        encode.append(parts.encode)
    torch.testing.assert_close(encode[0](frames), encode[1](frames), rtol=1e-4, atol=1e-5)
    assert encode[0](frames).tobytes() != encode[1](frames).tobytes(), "it is another network"
