"""What the base class of all networks does, on a network of one layer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models import build
from kinema.models.network import Network, fastest_layout, filters_see_time, on_meta, sharing_weights
from kinema.types import InputSpec


class Means(Network):
    def __init__(self) -> None:
        super().__init__(InputSpec(clip_len=2, size=(4, 4)), 3, 5)
        self.norm = nn.BatchNorm3d(3)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        return self.norm(clip).mean((2, 3, 4))

    def stages(self) -> list[tuple[str, nn.Module]]:
        return [("norm", self.norm)]


def test_a_new_classifier_is_remembered():
    network = Means()
    network.reset_classifier(7)
    assert (network.num_classes, network.arguments) == (7, {"num_classes": 7})
    weight, bias = torch.randn(4, 3), torch.randn(4)
    network.adopt_classifier(weight, bias)
    clip = torch.randn(2, 3, 2, 4, 4)
    torch.testing.assert_close(network.eval()(clip), network.features(clip) @ weight.T + bias)


def test_a_copy_shares_weights_and_statistics_and_has_layers_of_its_own():
    network = Means()
    copied = sharing_weights(network)
    assert copied.norm is not network.norm
    assert copied.norm.weight is network.norm.weight
    network.train()(torch.randn(2, 3, 2, 4, 4) + 3)
    assert torch.equal(copied.norm.running_mean, network.norm.running_mean)
    assert copied.norm.running_mean.abs().min() > 0


def test_on_meta_gives_shapes_and_leaves_the_modes():
    network = Means().train()
    network.norm.eval()
    with on_meta(network) as call:
        assert not network.training
        out = call(torch.empty(2, 3, 2, 4, 4, device="meta"))
    assert (out.is_meta, tuple(out.shape)) == (True, (2, 5))
    assert (network.training, network.norm.training) == (True, False)
    assert network.norm.weight.device.type == "cpu"


def test_filters_over_time_strides_and_nonlocal_blocks_see_time():
    assert not filters_see_time(build("single_frame_tiny", num_classes=2))
    assert filters_see_time(build("slow_fusion_tiny", num_classes=2))
    frames = build("late_fusion_tiny", num_classes=2)
    assert not filters_see_time(frames)
    frames.arguments["nonlocal_stages"] = [1]
    assert filters_see_time(frames)


def test_fastest_layout_is_channels_last():
    clip = torch.randn(1, 3, 2, 4, 4)
    laid = fastest_layout(clip)
    assert torch.equal(laid, clip)
    assert laid.stride(1) == 1
