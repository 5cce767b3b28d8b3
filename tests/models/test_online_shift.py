"""The shift for streams: frame by frame as at once, and nothing of later frames."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kinema.models import build
from kinema.models.network import StreamingNetwork
from kinema.models.online_shift import CausalShift, Past, running_weights


def numbers(rows: list[list[float]]) -> Tensor:
    """A clip [1 c t 1 1] from its channels."""
    return torch.tensor(rows, dtype=torch.float32)[None, :, :, None, None]


def test_causal_shift_takes_from_the_past_only():
    clip = numbers([[1, 2, 3], [4, 5, 6]])
    past = Past()
    shift = CausalShift(1, past, "first")
    assert torch.equal(shift(clip), numbers([[0, 1, 2], [4, 5, 6]]))
    with past.going_on_from({"first": torch.full((1, 1, 1, 1), 9.0)}) as kept:
        assert torch.equal(shift(clip), numbers([[9, 1, 2], [4, 5, 6]]))
    assert kept["first"].item() == 3
    assert torch.equal(shift(clip), numbers([[0, 1, 2], [4, 5, 6]]))  # nothing is left behind


def stream(name: str, **arguments) -> StreamingNetwork:
    torch.manual_seed(0)
    network = build(name, num_classes=3, **arguments).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.running_mean.normal_(std=0.1)
    nn.init.normal_(network.classifier.weight)
    assert isinstance(network, StreamingNetwork)
    return network


STREAMS = {
    "small": lambda **rest: stream("tsm_causal_small", spec={"size": (40, 48)}, width=8, **rest),
    "resnet": lambda **rest: stream(
        "tsm_causal", backbone="test_resnet", backbone_args={"zero_init_last": False}, spec={"size": (40, 48)}, **rest
    ),
    "mobilenet": lambda **rest: stream("tsm_causal", backbone="mobilenetv2_035", spec={"size": (40, 48)}, **rest),
}


@pytest.mark.parametrize("case", STREAMS)
@torch.no_grad()
def test_frame_by_frame_is_what_a_clip_at_once_gives(case: str):
    network = STREAMS[case](memory=3)
    clip = torch.randn(2, 3, 6, 40, 48)
    state, logits = network.start(2), []
    for frame in clip.unbind(2):
        before = {name: value.clone() for name, value in state.items()}
        answer, new = network.step(frame, state)
        assert all(torch.equal(state[name], before[name]) for name in state)
        assert {name: value.shape for name, value in new.items()} == {n: v.shape for n, v in state.items()}
        logits.append(answer)
        state = new
    at_once = network.frame_logits(clip)
    torch.testing.assert_close(torch.stack(logits, 1), at_once, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(network(clip), at_once[:, -1], rtol=1e-5, atol=1e-5)
    assert (at_once[:, 1:] - at_once[:, :-1]).abs().amin(dim=(0, 1)).min() > 1e-6


@torch.no_grad()
def test_later_frames_change_nothing_before_them():
    network = STREAMS["small"]()
    clip, other = torch.randn(1, 3, 5, 40, 48), torch.randn(1, 3, 5, 40, 48)
    mixed = torch.cat([clip[:, :, :3], other[:, :, 3:]], dim=2)
    before, after = network.frame_logits(clip), network.frame_logits(mixed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert (before[:, 3] - after[:, 3]).abs().min() > 1e-5


def test_start_leaves_the_network_as_it_was():
    network = STREAMS["small"]().train()
    network.stem.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = network.start(4)
    assert all(len(value) == 4 and not value.any() for value in state.values())
    assert network.training
    assert not network.stem.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_running_mean_forgets_after_so_many_frames():
    expected = [[1, 0, 0, 0], [1 / 2, 1 / 2, 0, 0], [1 / 4, 1 / 4, 1 / 2, 0], [1 / 8, 1 / 8, 1 / 4, 1 / 2]]
    torch.testing.assert_close(running_weights(4, 2), torch.tensor(expected))
    torch.testing.assert_close(running_weights(4, 9)[-1], torch.full((4,), 1 / 4))
