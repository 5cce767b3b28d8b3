"""Fused networks: how scores are joined, what members need, and which clip they share."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import build
from kinema.models.fused import Fused, joint_input
from kinema.models.network import Network
from kinema.types import InputSpec

SMALL = {"size": (32, 32), "clip_len": 4}


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
