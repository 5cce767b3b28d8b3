"""Two-stream networks: their costs, how streams are joined, and that flow tells what no frame shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kinema.clips.transforms import normalize
from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import VARIANTS, build, build_without_weights
from kinema.models.backbone import BackboneSource
from kinema.models.fused import Fused, joint_input
from kinema.models.network import Network
from kinema.models.two_stream import CnnM, TemporalStream
from kinema.types import InputSpec
from kinema.video.flow import measure, quantise

SMALL = {"size": (32, 32), "clip_len": 4}


@pytest.mark.parametrize(
    ("name", "num_classes", "params", "gmacs"),
    [
        # 96*3*49+96, 256*96*25+256, 512*256*9+512, twice 512*512*9+512, 18432*4096+4096, 4096*2048+2048, 2048*101+101
        ("spatial_stream", 101, 90_627_813, 1.664),
        ("temporal_stream", 101, 90_627_813 + 96 * 17 * 49, 2.614),
        ("two_stream", 101, 2 * 90_627_813 + 96 * 17 * 49, 4.278),
        ("two_stream_i3d", 400, 12_697_264 + 12_675_312, 111.15 + 102.34),
    ],
)
def test_published_networks_cost_what_their_papers_say(name: str, num_classes: int, params: int, gmacs: float):
    cost = summarize(build_without_weights(name, num_classes=num_classes))
    assert cost.params == params
    assert cost.macs / 1e9 == pytest.approx(gmacs, rel=0.001)


def test_cnn_m_has_the_layers_of_the_papers_figure():
    spec = VARIANTS["spatial_stream"].input
    with torch.device("meta"):
        network = CnnM(spec, 101)
    stages = dict(network.stages())
    assert list(stages) == ["conv1", "conv2", "conv3", "conv4", "conv5", "full6", "full7"]
    clip = torch.empty(1, 3, 224, 224, device="meta")
    shapes = [tuple((clip := stage(clip)).shape[1:]) for stage in stages.values()]
    assert shapes == [(96, 54, 54), (256, 13, 13), (512, 13, 13), (512, 13, 13), (512, 6, 6), (4096,), (2048,)]
    networks = [build_without_weights(name) for name in ("spatial_stream", "temporal_stream")]
    assert [sum(isinstance(m, nn.LocalResponseNorm) for m in network.modules()) for network in networks] == [2, 1]


def test_pictures_too_small_for_cnn_m_are_refused():
    with pytest.raises(ConfigError, match="too small"):
        build("temporal_stream", spec={"size": (40, 40)})


def test_published_filters_are_averaged_over_the_colours_and_repeated(monkeypatch):
    filters = {}
    original = BackboneSource._model

    def published(source: BackboneSource) -> nn.Module:
        model = original(source)
        filters["rgb"] = next(m for m in model.modules() if isinstance(m, nn.Conv2d)).weight.detach().clone()
        return model

    monkeypatch.setattr(BackboneSource, "_model", published)
    source = BackboneSource("test_resnet", pretrained=False, weights=None)
    spec = VARIANTS["temporal_stream"].input.with_(size=(64, 64), clip_len=3)
    monkeypatch.setattr("kinema.models.backbone.load_backbone_weights", lambda *_: None)
    network = TemporalStream(spec, 5, BackboneSource("test_resnet", weights="published.pth"))
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d)).weight
    assert first.shape[1] == 6
    for channel in range(6):
        assert torch.allclose(first[:, channel], filters["rgb"].mean(dim=1))
    fresh = next(m for m in TemporalStream(spec, 5, source).modules() if isinstance(m, nn.Conv2d)).weight
    assert not torch.allclose(fresh[:, 0], fresh[:, 1])


def test_a_backbone_normalises_colours_as_published_and_flow_as_flow():
    network = build_without_weights("two_stream", backbone="vit_tiny_patch16_224", num_classes=3)
    assert network.spec.mean == (0.5, 0.5, 0.5, 128 / 255, 128 / 255)
    assert build_without_weights("temporal_stream", backbone="resnet18", num_classes=3).spec.num_channels == 2


def fused(weights: tuple[float, float] = (1.0, 1.5), **how: object) -> Fused:
    torch.manual_seed(0)
    network = build("fused", num_classes=3, spec=SMALL, dropout=0.0, weights=weights, **how).eval()
    assert isinstance(network, Fused)
    for parameter in network.classifier.parameters():
        nn.init.normal_(parameter)
    return network


def alone(network: Fused) -> list[Network]:
    """The members as they would stand by themselves."""
    specs = [network.spec.part("rgb").with_(clip_len=1), network.spec.part("flow")]
    names = ("single_frame_small", "temporal_stream_small")
    members = [build(name, num_classes=3, spec=spec.to_json()).eval() for name, spec in zip(names, specs, strict=True)]
    for place, member in enumerate(members):
        own = dict(network.members[place].state_dict())
        last = network.classifier.members[place].state_dict()
        member.load_state_dict({**own, **{f"classifier.{k}": v for k, v in last.items()}})
    return members


def test_the_scores_are_the_weighted_mean_of_those_of_frame_and_motion():
    network = fused()
    clips = torch.randn(2, *network.spec.shape)
    rgb, flow = alone(network)
    wanted = (rgb(clips[:, :3, 2:3]).softmax(1) + 1.5 * flow(clips[:, 3:]).softmax(1)) / 2.5
    assert torch.allclose(network(clips).softmax(1), wanted, atol=1e-6)
    assert not torch.allclose(fused((1.0, 1.0))(clips), network(clips))


def test_scores_of_several_labels_are_averaged_as_sigmoids():
    network = fused(multi_label=True)
    clips = torch.randn(2, *network.spec.shape)
    rgb, flow = alone(network)
    wanted = (rgb(clips[:, :3, 2:3]).sigmoid() + 1.5 * flow(clips[:, 3:]).sigmoid()) / 2.5
    assert torch.allclose(network(clips).sigmoid(), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("two_stream", {"spec": {"size": (64, 64), "clip_len": 2}, "width": 0.05}),
        ("two_stream", {"spec": {"size": (32, 32), "clip_len": 2}, "backbone": "test_resnet"}),
        ("two_stream_i3d", {"spec": {"size": (32, 32), "clip_len": 8}, "width": 0.1}),
        ("fused", {"spec": SMALL}),
    ],
)
def test_two_streams_can_be_sure_of_several_labels(name, how):
    network = build(name, num_classes=3, **how).eval()
    network.set_multi_label(True)
    again = build(name, **{**how, **network.arguments}).eval()
    again.load_state_dict(network.state_dict())
    for part in (network, again):
        for member in part.classifier.members:
            nn.init.constant_(member.bias, 9.0)
        assert (part(torch.randn(2, *part.spec.shape)).sigmoid() > 0.9).all()


def test_a_support_vector_machine_is_not_told_of_several_labels():
    with pytest.raises(ConfigError, match="chooses one class"):
        fused(svm=True).set_multi_label(True)


def test_scores_stay_numbers_where_a_network_is_very_sure():
    network = fused()
    for parameter in network.classifier.parameters():
        parameter.data.mul_(1e4)
    assert network(torch.randn(2, *network.spec.shape)).isfinite().all()


def test_weights_of_networks_that_stood_alone_are_taken_over():
    network, other = fused(), fused((1.0, 1.0))
    states = [member.state_dict() for member in alone(network)]
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_members(states)
    clips = torch.randn(1, *network.spec.shape)
    assert torch.equal(other.features(clips), network.features(clips))
    logits = [each.classifier.logits(each.features(clips)) for each in (other, network)]
    assert all(torch.equal(a, b) for a, b in zip(*logits, strict=True))


def test_the_last_stages_of_both_streams_belong_together():
    network = fused()
    names = [name for name, _ in network.stages()]
    assert names == ["stem", "stage1", "stage2", "stage3"]
    assert {key for key, _ in network.stages()[-1][1].named_children()} == {"stream1", "stream2"}


def test_a_support_vector_machine_sees_scores_of_length_one():
    network = fused(svm=True)
    seen = {}
    network.classifier.joint.register_forward_pre_hook(lambda _, given: seen.update(stacked=given[0]))
    assert network(torch.randn(2, *network.spec.shape)).shape == (2, 3)
    assert torch.allclose(seen["stacked"].unflatten(1, (2, 3)).norm(dim=2), torch.ones(2, 2))
    with pytest.raises(ConfigError, match="several labels"):
        fused(svm=True, multi_label=True)


def test_networks_that_cannot_be_joined_are_refused():
    with pytest.raises(ConfigError, match="weight above zero"):
        fused((1.0, 0.0))
    with pytest.raises(ConfigError, match="no network called"):
        build("fused", num_classes=3, members=({"variant": "singel_frame"},), weights=(1.0,))


def test_three_networks_can_be_joined_and_a_joined_one_again():
    inner = ({"variant": "single_frame_small", "clip_len": 1}, {"variant": "temporal_stream_small"})
    outer = ({"variant": "fused", "arguments": {"members": inner}}, {"variant": "temporal_stream_small"})
    network = build("fused", num_classes=3, spec=SMALL, members=outer).eval()
    assert network(torch.randn(1, *network.spec.shape)).shape == (1, 3)


def test_two_networks_share_a_clip_where_they_see_the_same():
    flow = InputSpec(clip_len=8, size=(32, 32), mean=(0.5,) * 2, std=(0.1,) * 2, modality="flow", sampling="spread")
    frame = InputSpec(clip_len=1, size=(32, 32), window_s=2.0)
    joint = joint_input(frame, flow)
    assert (joint.modality, joint.clip_len, joint.sampling, joint.window_s) == ("rgb+flow", 8, "spread", 2.0)
    assert joint.mean == (*frame.mean, 0.5, 0.5)
    assert joint_input(flow, frame) == joint
    assert joint_input(joint, flow) == joint
    assert joint_input(frame, frame) == frame
    for other, said in [
        (frame.with_(size=(40, 40)), "size"),
        (frame.with_(clip_len=4), "clip_len"),
        (flow.with_(flow="farneback"), "method"),
    ]:
        with pytest.raises(ValueError, match=said):
            joint_input(other, flow)


# Learning


def moving(count: int, seed: int, size: int = 48, still: bool = False) -> tuple[Tensor, Tensor]:
    """Clips uint8 [b 5 1 h w]: a frame of a texture, and its flow, as it moves left, right, up or down."""
    rng = np.random.default_rng(seed)
    dis = measure("dis")
    clips, targets = [], rng.integers(4, size=count)
    for target in targets:
        coarse = rng.uniform(0, 255, (12, 12)).astype(np.float32)
        frame = np.repeat(np.kron(coarse, np.ones((4, 4), np.float32))[..., None], 3, axis=2).astype(np.uint8)
        step = int(rng.integers(1, 4))
        shift = [(0, -step), (0, step), (-step, 0), (step, 0)][0 if still else target]
        following = np.roll(frame, (0, 0) if still else shift, axis=(0, 1))
        channels = np.concatenate([frame, quantise(dis(frame, following))], axis=2)
        clips.append(torch.from_numpy(channels).permute(2, 0, 1)[:, None])
    return torch.stack(clips), torch.from_numpy(targets)


def accuracy_after_learning(name: str, channels: slice, steps: int = 40, still: bool = False) -> float:
    torch.manual_seed(0)
    network = build(name, num_classes=4, spec={"clip_len": 1, "size": (48, 48)}, width=8, depths=(1, 1))
    clips, targets = moving(96, 0, still=still)
    fresh, wanted = moving(64, 1, still=still)
    seen, unseen = (normalize(part[:, channels], network.spec) for part in (clips, fresh))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for step in range(steps):
        rows = torch.arange(32) + 32 * (step % 3)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(seen[rows]), targets[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        return float((network.eval()(unseen).argmax(1) == wanted).float().mean())


def test_one_field_of_flow_tells_directions_and_one_frame_does_not():
    assert accuracy_after_learning("temporal_stream_small", slice(3, 5)) >= 0.9
    assert accuracy_after_learning("two_stream_small", slice(0, 5)) >= 0.9
    assert accuracy_after_learning("single_frame_small", slice(0, 3)) <= 0.5
    assert accuracy_after_learning("temporal_stream_small", slice(3, 5), still=True) <= 0.5
