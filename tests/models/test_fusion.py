"""Late and early fusion on a backbone: clips without motion, pooling over time."""

from __future__ import annotations

import torch

from kinema.models import build
from kinema.models.fusion import fully_connected, pool_time
from kinema.models.network import Network


def on_file(name: str, path: str, **arguments) -> Network:
    return build(name, backbone="test_resnet", backbone_weights=path, **arguments).eval()


def test_early_fusion_of_a_clip_that_stands_still_is_the_single_frame(weights_file):
    frame = torch.randn(1, 3, 1, 96, 96)
    with torch.no_grad():
        single = on_file("single_frame", weights_file, num_classes=4).features(frame)
        early = on_file("early_fusion", weights_file, num_classes=4, spec={"clip_len": 5}).features(
            frame.expand(-1, -1, 5, -1, -1)
        )
    torch.testing.assert_close(early, single, rtol=1e-4, atol=1e-4)


def test_late_fusion_by_mean_is_the_mean_of_single_frames(weights_file):
    clip = torch.randn(1, 3, 3, 64, 64)
    single = on_file("single_frame", weights_file, backbone_args={"num_classes": 6})
    late = on_file("late_fusion", weights_file, backbone_args={"num_classes": 6}, head="mean", spec={"clip_len": 3})
    with torch.no_grad():
        expected = torch.stack([single(clip[:, :, t : t + 1]) for t in range(3)]).mean(0)
        torch.testing.assert_close(late(clip), expected, rtol=1e-4, atol=1e-4)


def test_pooling_counts_only_the_first_steps_of_each_clip():
    encoded = torch.tensor([[[1.0, -4.0], [3.0, 2.0], [8.0, 6.0]], [[2.0, 2.0], [4.0, 0.0], [0.0, 1.0]]])
    lengths = torch.tensor([2, 3])
    assert pool_time(encoded, "mean", lengths).tolist() == [[2, -1], [2, 1]]
    assert pool_time(encoded, "max", lengths).tolist() == [[3, 2], [4, 2]]
    assert torch.equal(pool_time(encoded, "max"), encoded.amax(1))


def test_layers_before_the_classifier_have_dropout_between_them():
    layers = fully_connected(6, (5, 4), 0.5)
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Dropout", "Linear", "ReLU"]
    assert layers(torch.randn(2, 6)).shape == (2, 4)
