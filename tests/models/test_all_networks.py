"""What every network promises, whatever its family."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import nn

from kinema.clips.transforms import normalize
from kinema.engines.export import export
from kinema.engines.exported import open_exported
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import Scorer, to_scores
from kinema.engines.trace import trace
from kinema.errors import ConfigError, UnknownName, UsageError
from kinema.models import VARIANTS, build, build_without_weights
from kinema.models.network import Network, on_meta
from kinema.weights.checkpoint import ModelCard, load_checkpoint, save_checkpoint

ON_BACKBONES = {
    "single_frame on a CNN": {"name": "single_frame", "backbone": "test_resnet"},
    "late_fusion on a CNN": {"name": "late_fusion", "backbone": "test_resnet", "spec": {"clip_len": 3}},
    "late_fusion by mean": {"name": "late_fusion", "backbone": "test_resnet", "head": "mean"},
    "late_fusion by maximum": {"name": "late_fusion", "backbone": "test_resnet", "head": "max"},
    "late_fusion on a transformer": {"name": "late_fusion", "backbone": "test_vit"},
    "early_fusion on a CNN": {"name": "early_fusion", "backbone": "test_resnet", "spec": {"clip_len": 4}},
    "temporal_stream on a CNN": {"name": "temporal_stream", "backbone": "test_resnet", "spec": {"clip_len": 4}},
    "temporal_stream on a transformer": {"name": "temporal_stream", "backbone": "test_vit", "spec": {"clip_len": 4}},
    "two_stream on a CNN": {"name": "two_stream", "backbone": "test_resnet", "spec": {"clip_len": 4}},
    "early_fusion on a transformer": {"name": "early_fusion", "backbone": "test_vit", "spec": {"clip_len": 4}},
}


def for_each(names: tuple[str, ...], arguments: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict.fromkeys(names, arguments)


NARROW: dict[str, dict[str, Any]] = {
    "videomae_base": {"width": 64, "depth": 2, "spec": {"clip_len": 4, "size": (32, 32)}},
    "timesformer_base": {"width": 64, "depth": 2, "spec": {"clip_len": 3, "size": (32, 32)}},
    "causal_a0": {"spec": {"clip_len": 4, "size": (64, 64)}},
    "two_stream_i3d": {"width": 1 / 8, "spec": {"clip_len": 9, "size": (50, 64)}},
    **for_each(("c3d", "c3d_bn"), {"width": 1 / 16, "spec": {"clip_len": 8, "size": (32, 32)}}),
    **for_each(("r3d_18", "mc3_18", "r2plus1d_18"), {"width": 1 / 8, "spec": {"clip_len": 8, "size": (40, 48)}}),
    **for_each(("i3d_rgb", "i3d_flow", "s3d"), {"width": 1 / 8, "spec": {"clip_len": 9, "size": (50, 64)}}),
    **for_each(
        ("mvit_v1_b", "mvit_v2_s"), {"width": 1 / 12, "drop_path": 0.0, "spec": {"clip_len": 4, "size": (32, 32)}}
    ),
    **for_each(
        ("inflated", "inflated_resnet50", "tsn", "tsm", "tsm_resnet50", "tsm_causal"),
        {
            "backbone": "test_resnet",
            "backbone_args": {"zero_init_last": False},
            "spec": {"clip_len": 3, "size": (64, 64)},
        },
    ),
    **for_each(
        ("cnn_lstm", "cnn_gru", "cnn_rnn", "cnn_bilstm"),
        {
            "backbone": "test_resnet",
            "backbone_args": {"zero_init_last": False},
            "hidden": 16,
            "spec": {"clip_len": 3, "size": (64, 64)},
        },
    ),
    "slow_r50_detection": {
        "members": [{"variant": "slow_r50", "arguments": {"dilated": True, "width": 8}}],
        "spec": {"clip_len": 4, "size": (48, 64)},
    },
    "slowfast_r50_detection": {
        "members": [
            {
                "variant": "slowfast_r50",
                "arguments": {"dilated": True, "width": 16, "times": (((1, 1), (3,)), ((3, 3), (3,)))},
            }
        ],
        "spec": {"clip_len": 16, "size": (48, 64)},
    },
    **for_each(("slow_r50", "c2d_r50", "i3d_r50"), {"width": 8, "spec": {"clip_len": 4, "size": (48, 64)}}),
    **for_each(("r2plus1d_r50", "i3d_r50_nonlocal"), {"width": 8, "spec": {"clip_len": 8, "size": (48, 64)}}),
    **for_each(
        ("slowfast_r50", "slowfast_r50_4x16", "slowfast_r101", "slowfast_16x8_r101_50_50"),
        {
            "width": 16,
            "times": (((1, 1), (3,)), ((3, 3), (3,))),
            "spec": {"clip_len": 16, "size": (48, 64)},
        },
    ),
    **for_each(
        ("x3d_xs", "x3d_s", "x3d_m", "x3d_l"),
        {"width": 0.5, "depth": 1.0, "head_dim": 32, "spec": {"clip_len": 3, "size": (48, 64)}},
    ),
}
"""Arguments that make a big network small enough for a test."""
IDLE: dict[str, str] = dict.fromkeys(
    ("mvit_v2_s", "mvit_small"), r"trunk\.blocks\.(3|15)\.attn\.(rel_pos_[thw]|pool_q\.pool\.weight)"
)
"""Parameters that are published, but on which nothing depends: see the network's module."""
CASES = [*VARIANTS, *ON_BACKBONES]


def make(case: str, num_classes: int = 3) -> Network:
    """A network small enough for a test; the big ones are made narrow."""
    torch.manual_seed(0)
    arguments = dict(ON_BACKBONES.get(case, {"name": case}))
    if "backbone" in arguments:
        if arguments["backbone"] == "test_resnet":
            arguments["backbone_args"] = {"zero_init_last": False}  # else blocks learn from the second step on only
        arguments["spec"] = {"size": (64, 64), **arguments.get("spec", {})}
    elif case in NARROW:
        arguments |= NARROW[case]
    elif "width" in VARIANTS[case].builder.__init__.__annotations__ and "small" not in case and "tiny" not in case:
        arguments |= {"width": 1 / 24}
    network = (
        build(num_classes=num_classes, dropout=0.0, **arguments)
        if "lecture" not in case
        else build(case, num_classes=3)
    )
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm3d) and not norm.weight.any():
            nn.init.ones_(norm.weight)  # else what lies before it learns from the second step on only
    return network


def clips_for(network: Network, count: int = 2) -> torch.Tensor:
    return torch.randn(count, *network.spec.shape, generator=torch.Generator().manual_seed(1)) / network.spec.std[0] / 4


@pytest.mark.parametrize("case", CASES)
def test_network_keeps_its_promises(case: str, tmp_path):
    network = make(case)
    clips = clips_for(network)

    check_shapes(network, clips)
    check_stages_hold_every_parameter_once(network)
    check_every_parameter_learns(network, clips)
    check_clips_do_not_see_each_other(network.eval(), clips)
    check_frames_looked_at_alone_give_the_same(network, clips)
    check_checkpoint_gives_the_same_network(network, clips, tmp_path / "checkpoint")
    check_a_new_classifier_fits(network, clips)


def check_shapes(network: Network, clips: torch.Tensor) -> None:
    assert network.features(clips).shape == (2, network.feature_dim)
    assert network(clips).shape == (2, 3)
    assert network.num_classes == 3


def check_stages_hold_every_parameter_once(network: Network) -> None:
    names = [name for name, _ in network.stages()]
    held = [id(parameter) for _, stage in network.stages() for parameter in stage.parameters()]
    own = [id(p) for name, p in network.named_parameters() if not name.startswith("classifier.")]
    assert len(names) == len(set(names))
    assert sorted(held) == sorted(own)


def check_every_parameter_learns(network: Network, clips: torch.Tensor) -> None:
    network.train()
    nn.functional.cross_entropy(network(clips), torch.tensor([0, 1])).backward()
    idle = [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ]
    assert [name for name in idle if not re.fullmatch(IDLE.get(network.variant, ""), name)] == []
    network.zero_grad()


def check_clips_do_not_see_each_other(network: Network, clips: torch.Tensor) -> None:
    clips = clips.clone().requires_grad_()
    network(clips)[0].sum().backward()
    assert clips.grad is not None
    assert clips.grad[0].any()
    assert not clips.grad[1].any()
    network.zero_grad()


def check_frames_looked_at_alone_give_the_same(network: Network, clips: torch.Tensor) -> None:
    parts = network.frame_parts()
    if parts is None:
        return
    frames = rearrange(clips, "b c t h w -> (b t) c 1 h w")
    with torch.no_grad():
        encoded = rearrange(parts.encode(frames), "(b t) f -> b t f", b=len(clips))
        torch.testing.assert_close(parts.join(encoded), network.features(clips), rtol=1e-5, atol=1e-5)
        if parts.join_frames is not None:
            logits = network.classifier(parts.join_frames(encoded))
            torch.testing.assert_close(logits, network.frame_logits(clips), rtol=1e-5, atol=1e-5)


def check_checkpoint_gives_the_same_network(network: Network, clips: torch.Tensor, folder) -> None:
    save_checkpoint(folder, network, ModelCard.of(network, ("a", "b", "c"), metrics={"hit": 0.5}))
    loaded, card = load_checkpoint(folder)
    with torch.no_grad():
        assert torch.equal(loaded(clips), network(clips))
    assert not loaded.training
    assert (loaded.spec, loaded.variant, card.labels) == (network.spec, network.variant, ("a", "b", "c"))


def check_a_new_classifier_fits(network: Network, clips: torch.Tensor) -> None:
    before = network.features(clips)
    network.reset_classifier(5)
    assert network(clips).shape == (2, 5)
    assert network.arguments["num_classes"] == 5
    assert torch.equal(network.features(clips), before)


def test_networks_that_see_each_frame_alone_say_so():
    kinds = ("single_frame", "late_fusion", "tsn", "cnn_")
    expected = {case for case in CASES if case.startswith(kinds)}
    assert {case for case in CASES if make(case).frame_parts() is not None} == expected


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=() if c.endswith(("_small", "_tiny")) else pytest.mark.slow) for c in CASES]
)
def test_network_is_a_graph_for_any_number_of_clips(case: str):
    network = make(case).eval()
    graph = trace(network, ModelCard.of(network, ("a", "b", "c")), "logits").module()
    for count in (1, 2, 5):
        clips = probe_clips(network.spec, count)
        with torch.no_grad():
            torch.testing.assert_close(graph(clips), network(normalize(clips, network.spec)), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_network_runs_in_onnx_runtime(case: str, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = make(case).eval()
    exact = Scorer(network, device="cpu", precision="f32")(probe_clips(network.spec, 5))
    with torch.no_grad():
        for parameter in network.classifier.parameters():
            parameter.div_(float(np.abs(exact).max()) / 2)  # scores that are neither all equal nor all 0 and 1
    card = ModelCard.of(network, ("a", "b", "c"))
    scorer, _ = open_exported(export(network, card, tmp_path / "network.onnx").path)
    for count in (1, 2, 5):
        clips = probe_clips(network.spec, count)
        expected = Scorer(network, device="cpu", precision="f32")(clips)
        np.testing.assert_allclose(to_scores(scorer(clips), False), to_scores(expected, False), atol=1e-5)


def test_unknown_names_say_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean slow_fusion"):
        build("slow_fussion")
    with pytest.raises(UnknownName, match="Did you mean resnet50"):
        build("single_frame", backbone="resnet5O")
    with pytest.raises(UnknownName, match="Did you mean dropout"):
        build("single_frame_tiny", dropuot=0.5)
    with pytest.raises(UnknownName, match="Did you mean clip_len"):
        build("slow_fusion_tiny", spec={"cliplen": 8})


@pytest.mark.parametrize(
    ("name", "shortest"), [("c2d_r50", 2), ("i3d_r50", 2), ("i3d_r50_nonlocal", 5), ("lecture_3d_cnn", 4)]
)
def test_clips_of_which_poolings_would_leave_nothing_are_refused(name, shortest):
    for clip_len in range(1, shortest):
        with pytest.raises(ConfigError, match=rf"(takes|at least) {shortest}\b"):
            build_without_weights(name, spec={"clip_len": clip_len})
    network = build_without_weights(name, num_classes=3, spec={"clip_len": shortest, "size": (64, 64)})
    with on_meta(network) as call, torch.no_grad():
        assert call(torch.empty(1, *network.spec.shape, device="meta")).shape == (1, 3)


def test_requests_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="single_frame_tiny takes single frames"):
        build("single_frame_tiny", spec={"clip_len": 4})
    with pytest.raises(UsageError, match="no exchangeable backbone"):
        build("slow_fusion", backbone="resnet18")
    with pytest.raises(UsageError, match="no published weights"):
        build("slow_fusion_tiny", pretrained=True)
    with pytest.raises(ConfigError, match="cannot be built"):
        build("slow_fusion_tiny", depths=3)
    with pytest.raises(ConfigError, match="too small"):
        build("slow_fusion", spec={"clip_len": 3})
    with pytest.raises(ConfigError, match="positive sizes"):
        build("slow_fusion_tiny", spec={"clip_len": 0})
