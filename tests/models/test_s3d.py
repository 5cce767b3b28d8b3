"""S3D against torchvision: counts, weights, logits, also where its sliding average slides; and motion."""

from __future__ import annotations

import pytest
import torch
import torchvision

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.s3d import FROM_TORCHVISION
from kinema.models.state_dict import check_fit
from kinema.weights.convert import convert


def test_counts_are_the_published_ones():
    summary = summarize(build_without_weights("s3d"), (3, 16, 224, 224))
    assert summary.params == 8_320_048
    assert summary.macs / 1e9 == pytest.approx(17.979, abs=0.001)


@pytest.mark.parametrize(
    ("window", "shape"),
    [
        ((2, 2, 2), (36, 64, 100)),  # the average slides over 3 x 1 x 2 places
        pytest.param((2, 7, 7), (14, 224, 224), marks=pytest.mark.slow),
        pytest.param((2, 7, 7), (36, 224, 260), marks=pytest.mark.slow),
    ],
)
def test_torchvision_weights_give_the_same_logits(
    window: tuple[int, int, int], shape: tuple[int, int, int], randomize, check_same_logits
):
    torch.manual_seed(0)
    theirs = randomize(torchvision.models.video.s3d(num_classes=11))
    ours = build("s3d", num_classes=11).eval()
    converted = convert(theirs.state_dict(), FROM_TORCHVISION)
    check_fit(converted, ours.state_dict(), "s3d", "")
    ours.load_state_dict(converted)
    theirs.avgpool.kernel_size = ours.average.window = window
    check_same_logits(ours, theirs, (3, *shape))


def test_classifier_of_filters_becomes_linear():
    weight = torch.randn(5, 8, 1, 1, 1)
    converted = convert({"classifier.1.weight": weight, "features.0.0.0.weight": weight}, FROM_TORCHVISION)
    assert torch.equal(converted["classifier.weight"], weight[:, :, 0, 0, 0])
    assert converted["conv_1a.space.conv.weight"].shape == weight.shape
    wide = torch.randn(5, 8, 2, 1, 1)
    assert convert({"classifier.weight": wide}, ())["classifier.weight"].shape == wide.shape


def test_input_is_the_one_the_weights_were_measured_with():
    spec = build_without_weights("s3d").spec
    published = torchvision.models.video.S3D_Weights.DEFAULT.transforms()
    assert (list(spec.size), list(spec.mean), list(spec.std)) == (published.crop_size, published.mean, published.std)
    assert (spec.squeezed, spec.frame_stride, spec.fps) == (tuple(published.resize_size), 1, 15.0)


@pytest.mark.parametrize("change", [{"clip_len": 4}, {"size": (16, 64)}])
def test_clips_that_end_in_nothing_are_refused(change: dict[str, object]):
    with pytest.raises(ConfigError, match="ends in nothing"):
        build("s3d", spec=change)


def test_shortest_and_smallest_clip_goes_through():
    network = build_without_weights("s3d", spec={"clip_len": 5, "size": (17, 17)}).eval()
    assert network(torch.empty(1, 3, 5, 17, 17, device="meta")).shape == (1, 400)


def test_small_network_tells_directions_of_motion(learn_motion):
    torch.manual_seed(0)
    network = build("s3d_small", num_classes=2, spec={"size": (32, 32)}, width=1 / 8)
    ordered, shuffled = learn_motion(network, steps=60, rate=1e-2)
    assert ordered >= 0.9
    assert shuffled <= 0.7


def test_small_network_is_cheap():
    summary = summarize(build_without_weights("s3d_small"))
    assert summary.params < 1e6
    assert summary.macs < 0.3e9
