"""Actions of boxes against PyTorchVideo's builders: names of weights, scores; RoI heads on other networks."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import build, build_without_weights
from kinema.models.detection import FROM_PYTORCHVIDEO_SLOW, FROM_PYTORCHVIDEO_SLOWFAST
from kinema.models.state_dict import check_fit
from kinema.weights.convert import convert

BOXES = [torch.tensor([[3.0, 5, 60, 80], [20, 1, 110, 95]]), torch.empty(0, 4), torch.tensor([[0.0, 0, 117, 96]])]


def theirs(name: str, **changes: Any) -> Any:
    pytest.importorskip("pytorchvideo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorchvideo.models import hub
    return getattr(hub, name)(**changes)


@pytest.mark.parametrize(
    ("name", "renames", "narrow"),
    [
        ("slow_r50_detection", FROM_PYTORCHVIDEO_SLOW, {"stem_dim_out": 16}),
        ("slowfast_r50_detection", FROM_PYTORCHVIDEO_SLOWFAST, {"stem_dim_outs": (16, 2)}),
    ],
)
def test_pytorchvideo_weights_give_the_same_scores_of_boxes(name, renames, narrow, randomize):
    torch.manual_seed(0)
    trunk = {"variant": name.removesuffix("_detection"), "arguments": {"dilated": True, "width": 16}}
    ours = build(name, members=[trunk]).eval()
    reference = randomize(theirs(name, **narrow))
    converted = convert(reference.state_dict(), renames)
    check_fit(converted, ours.state_dict(), name, "")
    ours.load_state_dict(converted)
    length = ours.spec.clip_len
    clip = torch.randn(len(BOXES), 3, length, 96, 117)
    slow = clip.index_select(2, torch.linspace(0, length - 1, length // 4).long())
    rows = [torch.cat([torch.full((len(boxes), 1), float(place)), boxes], 1) for place, boxes in enumerate(BOXES)]
    with torch.no_grad():
        expected = reference(clip if name == "slow_r50_detection" else [slow, clip], torch.cat(rows))
        found = ours.score_boxes(clip, BOXES).sigmoid()
    assert found.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["slow_r50_detection", "slowfast_r50_detection"])
def test_published_names_and_shapes_are_all_theirs(name: str):
    renames = FROM_PYTORCHVIDEO_SLOW if name == "slow_r50_detection" else FROM_PYTORCHVIDEO_SLOWFAST
    with torch.device("meta"):
        reference = theirs(name)
    network = build_without_weights(name)
    check_fit(convert(reference.state_dict(), renames), network.state_dict(), name, "")
    assert network.num_classes == 80


SMALL = {"clip_len": 8, "size": (64, 64)}


@pytest.mark.parametrize(
    ("trunk", "arguments", "stride"),
    [
        ("slow_fusion_tiny", {}, 8),
        ("r2plus1d_small", {}, 16),
        ("r3d_18", {"width": 1 / 16}, 16),
        ("x3d_xs", {"width": 0.5, "depth": 1.0, "head_dim": 32}, 32),
        ("s3d_small", {}, 32),
    ],
)
def test_a_head_on_any_network_sees_what_is_inside_the_box(trunk: str, arguments: dict[str, Any], stride: int):
    torch.manual_seed(0)
    network = build("roi_head", num_classes=3, members=[{"variant": trunk, "arguments": arguments}], spec=SMALL).eval()
    clip = torch.randn(1, 3, 8, 128, 192)
    changed = clip.clone()
    changed[..., 128:] += 1  # the right third
    left, right = torch.tensor([[0.0, 0, 40, 128]]), torch.tensor([[140.0, 0, 190, 128]])
    with torch.no_grad():
        assert network.trunk.maps(clip).shape[-2:] == (128 // stride, 192 // stride)
        before = network.score_boxes(clip, [torch.cat([left, right])])
        after = network.score_boxes(changed, [torch.cat([left, right])])
    moved = (after - before).abs().amax(1)
    assert moved[1] > 3 * moved[0]


def test_clips_without_boxes_give_no_rows_and_no_gradient_that_is_not_a_number():
    network = build("roi_head", num_classes=3, spec=SMALL)
    logits = network.score_boxes(torch.randn(2, 3, 8, 64, 64), [torch.empty(0, 4), torch.empty(0, 4)])
    assert logits.shape == (0, 3)
    logits.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_networks_without_features_at_each_place_are_refused():
    for trunk in ("late_fusion_tiny", "cnn_gru_small", "c3d_small"):
        with pytest.raises(ConfigError, match="features at each place"):
            build("roi_head", members=[{"variant": trunk}], spec=SMALL)
    with pytest.raises(ValueError, match="2 clips, but boxes for 1"):
        build("roi_head", num_classes=2, spec=SMALL).score_boxes(torch.zeros(2, 3, 8, 64, 64), [torch.empty(0, 4)])
