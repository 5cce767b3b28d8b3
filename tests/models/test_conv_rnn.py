"""Recurrent maps: cells against torch's own, by hand, step by step, and what they can learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.conv_rnn import CELLS, ConvCell, ConvGruCell, ConvLstmCell, ConvRnnCell
from kinema.models.network import StreamingNetwork

NAMES = ("conv_rnn_small", "conv_gru_small", "conv_lstm_small")
OF_TORCH = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}


@pytest.mark.parametrize("kind", CELLS)
def test_over_maps_of_one_place_a_cell_is_the_one_of_torch(kind):
    theirs = OF_TORCH[kind](5, 4)
    ours = CELLS[kind](5, 4, kernel=1)
    with torch.no_grad():
        for conv, name in ((ours.input, "ih"), (ours.recurrent, "hh")):
            conv.weight.copy_(getattr(theirs, f"weight_{name}")[:, :, None, None])
            conv.bias.copy_(getattr(theirs, f"bias_{name}"))
    vectors = torch.randn(6, 2, 5)

    shown, state = [], None
    for vector in vectors:
        state = theirs(vector, state)
        shown.append(state[0] if isinstance(state, tuple) else state)

    maps = ours(vectors.flatten(0, 1)[:, :, None, None], 6)
    torch.testing.assert_close(maps.flatten(1), torch.cat(shown), rtol=1e-6, atol=1e-6)


def test_a_remembered_point_spreads_by_one_kernel_a_frame():
    cell = ConvRnnCell(1, 1, kernel=3)
    with torch.no_grad():
        for conv in (cell.input, cell.recurrent):
            conv.weight.zero_()
            conv.bias.zero_()
        cell.input.weight[0, 0, 1, 1] = 1.0
        cell.recurrent.weight[0, 0, 1, 0] = 0.5  # each place takes half of what its left neighbour held
    frames = torch.zeros(3, 1, 1, 5)
    frames[0, 0, 0, 1] = 1.0

    first, second, third = cell(frames, 3)[:, 0, 0].tolist()

    one = torch.tanh(torch.tensor(1.0))
    two = torch.tanh(one / 2)
    assert first == pytest.approx([0, float(one), 0, 0, 0])
    assert second == pytest.approx([0, 0, float(two), 0, 0])
    assert third == pytest.approx([0, 0, 0, float(torch.tanh(two / 2)), 0])


def gates_by_hand(cell: ConvCell, frame: torch.Tensor, shown: torch.Tensor) -> tuple[list[torch.Tensor], ...]:
    """Each gate by its own convolution, from below and from the past."""
    units = cell.units
    from_below, from_past = [], []
    for start in range(0, cell.num_gates * units, units):
        rows = slice(start, start + units)
        from_below.append(conv2d(frame, cell.input.weight[rows], cell.input.bias[rows], cell.stride, 1))
        from_past.append(conv2d(shown, cell.recurrent.weight[rows], cell.recurrent.bias[rows], 1, 1))
    return from_below, from_past


def test_gru_maps_are_those_of_the_equations():
    cell = ConvGruCell(3, 2, stride=2)
    frames = torch.randn(4, 1, 3, 6, 7)
    state = torch.zeros(1, 2, 3, 4)
    for frame, given in zip(frames, cell(frames.flatten(0, 1), 4), strict=True):
        (reset, update, new), (past_reset, past_update, past_new) = gates_by_hand(cell, frame, state)
        reset, update = (reset + past_reset).sigmoid(), (update + past_update).sigmoid()
        state = (1 - update) * (new + reset * past_new).tanh() + update * state
        torch.testing.assert_close(given[None], state, rtol=1e-5, atol=1e-6)


def test_lstm_maps_are_those_of_the_equations():
    cell = ConvLstmCell(3, 2, stride=2)
    frames = torch.randn(4, 1, 3, 6, 7)
    shown = memory = torch.zeros(1, 2, 3, 4)
    for frame, given in zip(frames, cell(frames.flatten(0, 1), 4), strict=True):
        write, keep, new, show = (a + b for a, b in zip(*gates_by_hand(cell, frame, shown), strict=True))
        memory = keep.sigmoid() * memory + write.sigmoid() * new.tanh()
        shown = show.sigmoid() * memory.tanh()
        torch.testing.assert_close(given[None], shown, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [[32, 32], [33, 45]])
@pytest.mark.parametrize("readout", ["last", "mean", "max"])
@pytest.mark.parametrize("name", NAMES)
def test_frame_by_frame_and_all_at_once_agree(name, readout, size):
    torch.manual_seed(0)
    network = build(name, num_classes=3, readout=readout, spec={"clip_len": 5, "size": size}).eval()
    assert isinstance(network, StreamingNetwork)
    clip = torch.randn(2, 3, 5, *size)

    state, one_by_one = network.start(2), []
    with torch.no_grad():
        for frame in clip.unbind(dim=2):
            before = {key: value.clone() for key, value in state.items()}
            logits, after = network.step(frame, state)
            assert all(torch.equal(state[key], value) for key, value in before.items())
            assert {key: value.shape for key, value in after.items()} == {k: v.shape for k, v in before.items()}
            one_by_one.append(logits)
            state = after
        at_once = network.frame_logits(clip)
        torch.testing.assert_close(torch.stack(one_by_one, dim=1), at_once, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(network(clip), at_once[:, -1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "gates"), list(zip(NAMES, (1, 3, 4), strict=True)))
def test_counts_are_those_of_the_equations(name, gates):
    stem = 3 * 7 * 7 * 16
    kernels = [gates * units * 9 * (below + units) for below, units in ((16, 16), (16, 32), (32, 64))]
    others = [gates * units * (1 + 2) for units in (16, 32, 64)]  # biases of the recurrent part, norms of the other

    counted = summarize(build_without_weights(name, num_classes=10))

    assert counted.params == stem + 2 * 16 + sum(kernels) + sum(others) + 10 * 65
    a_frame = stem * 24 * 24 + sum(kernel * side**2 for kernel, side in zip(kernels, (24, 12, 6), strict=True))
    assert counted.macs == 16 * a_frame + 10 * 64


def test_half_precision_runs():
    for name in NAMES:
        network = build(name, num_classes=3, spec={"clip_len": 3, "size": [32, 32]}).eval()
        clip = torch.randn(1, 3, 3, 32, 32)
        with torch.autocast("cpu", torch.bfloat16):
            half, (_, state) = network(clip), network.step(clip[:, :, 0], network.start())
            network.step(clip[:, :, 1], state)
        torch.testing.assert_close(half.float(), network(clip), rtol=0.1, atol=0.05)


def test_layers_and_kernels_can_be_chosen():
    network = build("conv_gru_small", num_classes=3, widths=[8, 12], kernel=5, stem=[4, 2], spec={"size": [24, 24]})
    assert [name for name, _ in network.stages()] == ["stem", "layer1", "layer2"]
    assert network.start()["layer2.0"].shape == (1, 12, 6, 6)
    for wrong in ({"cell": "gated"}, {"kernel": 4}, {"readout": "first"}):
        with pytest.raises(ConfigError, match="cannot be built"):
            build("conv_gru_small", **wrong)


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_which_way_things_move_and_needs_their_order(name, learn_motion):
    torch.manual_seed(0)
    network = build(name, num_classes=2, spec={"clip_len": 8, "size": [32, 32]})
    in_order, shuffled = learn_motion(network, steps=30)
    assert in_order >= 0.9
    assert shuffled <= 0.7
