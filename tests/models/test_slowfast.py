"""SlowFast against PyTorchVideo's builder: counts, weights, logits, which frames are slow; and motion."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.slowfast import FROM_PYTORCHVIDEO, slow_frames
from kinema.models.state_dict import check_fit
from kinema.weights.convert import convert

SOME = ((3, 1, 1),) * 6 + ((1, 1, 1),) * 17
ONE, THREE = (1, 1, 1), (3, 1, 1)
HUB: dict[str, dict[str, Any]] = {
    "slowfast_r50": {"model_depth": 50, "slowfast_fusion_conv_kernel_size": (7, 1, 1)},
    "slowfast_r50_4x16": {
        "model_depth": 50,
        "slowfast_fusion_conv_kernel_size": (5, 1, 1),
        "slowfast_fusion_conv_stride": (8, 1, 1),
    },
    "slowfast_r101": {"model_depth": 101, "slowfast_fusion_conv_kernel_size": (5, 1, 1)},
    "slowfast_16x8_r101_50_50": {
        "model_depth": 101,
        "slowfast_fusion_conv_kernel_size": (5, 1, 1),
        "stage_conv_a_kernel_sizes": ((ONE, ONE, SOME, THREE), (THREE, THREE, SOME, THREE)),
    },
}


@pytest.fixture(scope="module")
def create_slowfast() -> Callable[..., Any]:
    pytest.importorskip("pytorchvideo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorchvideo.models.slowfast import create_slowfast
    return create_slowfast


def packed(frames: torch.Tensor, alpha: int) -> list[torch.Tensor]:
    """The two pathways' inputs, as PyTorchVideo's examples pack them."""
    length = frames.shape[2]
    return [frames.index_select(2, torch.linspace(0, length - 1, length // alpha).long()), frames]


@pytest.mark.parametrize(
    ("name", "params", "gmacs"),
    [
        ("slowfast_r50", 34_566_488, 65.71),
        ("slowfast_r50_4x16", 34_480_216, 36.10),
        ("slowfast_r101", 62_826_968, 125.91),
        pytest.param("slowfast_16x8_r101_50_50", 53_774_808, 213.02, marks=pytest.mark.slow),
    ],
)
def test_counts_are_the_published_ones(name: str, params: int, gmacs: float):
    network = build_without_weights(name)
    summary = summarize(network, (3, network.spec.clip_len, 256, 256))
    assert summary.params == params
    assert summary.macs / 1e9 == pytest.approx(gmacs, abs=0.01)


@pytest.mark.parametrize("alpha", [2, 4, 8])
def test_slow_frames_are_those_of_pytorchvideo(alpha: int):
    for count in range(1, 33):
        length = count * alpha
        assert slow_frames(length, alpha) == torch.linspace(0, length - 1, count).long().tolist()


def test_any_clip_length_gives_pathways_that_fit():
    for length in range(1, 20):
        network = build("slowfast_small", num_classes=2, width=8, spec={"clip_len": length, "size": (32, 32)})
        assert network.eval()(torch.zeros(1, *network.spec.shape)).shape == (1, 2)


@pytest.mark.parametrize("name", ["slowfast_r50", "slowfast_r50_4x16"])
def test_pytorchvideo_weights_give_the_same_logits(name: str, create_slowfast, randomize):
    check_parity(name, create_slowfast, randomize, width=64, size=64, window=2)


@pytest.mark.parametrize("name", ["slowfast_r101", "slowfast_16x8_r101_50_50"])
def test_deeper_networks_take_weights_over_too(name: str, create_slowfast, randomize):
    check_parity(name, create_slowfast, randomize, width=16, size=64, window=2)


def test_window_of_the_head_slides_as_theirs_over_larger_maps(create_slowfast, randomize):
    check_parity("slowfast_r50", create_slowfast, randomize, width=8, size=256, window=7)


@pytest.mark.slow
@pytest.mark.parametrize("name", HUB)
def test_full_size_gives_the_same_logits(name: str, create_slowfast, randomize):
    check_parity(name, create_slowfast, randomize, width=64, size=256, window=7)


def check_parity(name: str, create: Callable[..., Any], randomize: Any, width: int, size: int, window: int) -> None:
    torch.manual_seed(0)
    ours = build(name, num_classes=7, width=width).eval()
    length, alpha = ours.spec.clip_len, ours.alpha
    heads = ((length // alpha, window, window), (length, window, window))
    changes = {"stem_dim_outs": (width, width // 8), "head_pool_kernel_sizes": heads, "model_num_class": 7}
    reference = randomize(create(**HUB[name], **changes))
    converted = convert(reference.state_dict(), FROM_PYTORCHVIDEO)
    check_fit(converted, ours.state_dict(), name, "")
    ours.load_state_dict(converted)
    clip = torch.randn(1, 3, length, size, size)
    with torch.no_grad():
        torch.testing.assert_close(ours(clip), reference(packed(clip, alpha)), rtol=1e-4, atol=1e-5)


def test_pathways_meet_after_all_stages_but_the_last():
    network = build_without_weights("slowfast_r50")
    assert [stage.lateral is not None for stage in (network.stem, *network.blocks)] == [True] * 4 + [False]
    outputs = {layer.name: layer.output for layer in summarize(network, (3, 32, 224, 224)).layers}
    assert outputs["blocks.3.slow.2.norm_c"] == (2048, 8, 7, 7)
    assert outputs["blocks.3.fast.2.norm_c"] == (256, 32, 7, 7)
    assert outputs["blocks.0.lateral.conv"] == (64, 8, 56, 56)


def test_fast_pathway_is_about_a_fifth_of_the_work():
    layers = summarize(build_without_weights("slowfast_r50")).layers
    fast = sum(layer.macs for layer in layers if ".fast." in layer.name)
    assert 0.1 < fast / sum(layer.macs for layer in layers) < 0.2


def test_pathways_that_cannot_be_are_refused():
    for wrong in ({"beta": 1 / 100}, {"alpha": 0}, {"lateral": (4, 2)}):
        with pytest.raises(ConfigError, match="channels for the fast pathway"):
            build("slowfast_r50", **wrong)


def test_small_network_tells_directions_of_motion(learn_motion):
    torch.manual_seed(0)
    network = build("slowfast_small", num_classes=2, width=16, spec={"size": (32, 32)})
    ordered, shuffled = learn_motion(network)
    assert ordered >= 0.9
    assert shuffled <= 0.7


def test_small_network_is_cheap():
    summary = summarize(build_without_weights("slowfast_small"))
    assert summary.params < 1e6
    assert summary.macs < 0.3e9
