"""CNN + RNN: the recurrent layers' counts, lengths, directions, steps, and what they can learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.layers.small_frames import SmallFrames
from kinema.models.network import FramewiseNetwork, JoinedNetwork, StreamingNetwork
from kinema.models.recurrent import CnnRnn, Recurrence
from kinema.types import InputSpec

SPEC = InputSpec(clip_len=6, size=(32, 32), sampling="spread")
NARROW = SmallFrames(width=4, depths=(1, 1))
READOUTS = ("last", "mean", "max")


def narrow(cell: str = "lstm", **arguments) -> CnnRnn:
    torch.manual_seed(0)
    return CnnRnn(SPEC, 3, NARROW, cell=cell, **{"hidden": 8, "dropout": 0.0, **arguments}).eval()


def clips(count: int = 2, clip_len: int = 6) -> torch.Tensor:
    return torch.randn(count, 3, clip_len, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("cell", "gates", "biases"), [("lstm", 4, 8), ("gru", 3, 6), ("rnn", 1, 2)])
def test_parameters_and_multiply_adds_are_those_of_the_equations(cell, gates, biases):
    inputs, hidden, classes, frames = 1280, 512, 5, 16
    network = build_without_weights(f"cnn_{cell}", num_classes=classes, backbone="mobilenetv2_100")
    found = {layer.name: layer for layer in summarize(network).layers}

    weights = gates * hidden * (inputs + hidden)
    assert found["recurrence.rnn"].params == weights + biases * hidden
    assert found["recurrence.rnn"].macs == frames * weights
    assert found["classifier"].macs == hidden * classes


def test_two_layers_in_two_directions_are_counted_as_well():
    network = build_without_weights(
        "cnn_bilstm", num_classes=5, backbone="mobilenetv2_100", hidden=64, layers=2, spec={"clip_len": 10}
    )
    rnn = next(layer for layer in summarize(network).layers if layer.name == "recurrence.rnn")

    first, second = 2 * 4 * 64 * (1280 + 64), 2 * 4 * 64 * (128 + 64)
    assert rnn.params == first + second + 2 * 2 * 8 * 64
    assert rnn.macs == 10 * (first + second)
    assert rnn.output == (10, 128)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_does_not_change_what_comes_of_a_clip(readout, bidirectional):
    name = "cnn_bilstm_small" if bidirectional else "cnn_lstm_small"
    network = build(name, num_classes=3, readout=readout, hidden=8, layers=2).eval()
    assert isinstance(network, JoinedNetwork)
    lengths = torch.tensor([3, 7, 1, 5])
    encoded = torch.randn(4, 7, 1152, generator=torch.Generator().manual_seed(2))

    together = network.join(encoded, lengths)

    alone = [network.join(row[None, :length]) for row, length in zip(encoded, lengths, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_frame_by_frame_and_all_at_once_agree(cell, readout):
    network = narrow(cell, readout=readout, layers=2)
    clip = clips()

    state = network.start(2)
    one_by_one = []
    for frame in clip.unbind(dim=2):
        before = {name: value.clone() for name, value in state.items()}
        logits, after = network.step(frame, state)
        assert all(torch.equal(state[name], value) for name, value in before.items())
        one_by_one.append(logits)
        state = after

    at_once = network.frame_logits(clip)
    torch.testing.assert_close(torch.stack(one_by_one, dim=1), at_once, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(network(clip), at_once[:, -1], rtol=1e-5, atol=1e-5)


def test_one_direction_never_sees_what_comes_two_directions_do():
    changed = clips()
    changed[:, :, 4:] = 0
    for name, sees in (("cnn_lstm_small", False), ("cnn_bilstm_small", True)):
        network = build(name, num_classes=3).eval()
        assert isinstance(network, FramewiseNetwork)
        early, also_early = network.frame_logits(clips())[:, :4], network.frame_logits(changed)[:, :4]
        assert torch.allclose(early, also_early, atol=1e-6) != sees
        assert isinstance(network, StreamingNetwork) != sees


def test_states_are_those_of_torch_cells_step_by_step():
    recurrence = Recurrence("gru", 5, 4)
    cell = nn.GRUCell(5, 4)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in recurrence.rnn.state_dict().items()})
    vectors = torch.randn(2, 3, 5)
    state = torch.zeros(2, 4)
    for vector in vectors.unbind(dim=1):
        state = cell(vector, state)
    torch.testing.assert_close(recurrence(vectors)[1], state)


def test_forget_gates_start_open_and_nothing_else_is_biased():
    rnn = Recurrence("lstm", 5, 4, layers=2).rnn
    for layer in range(2):
        bias = getattr(rnn, f"bias_ih_l{layer}") + getattr(rnn, f"bias_hh_l{layer}")
        assert bias.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


def test_any_backbone_and_any_length_will_do():
    network = build("cnn_gru", num_classes=4, backbone="test_resnet", spec={"clip_len": 2, "size": (64, 64)}).eval()
    assert network(torch.zeros(1, 3, 5, 64, 64)).shape == (1, 4)
    assert [name for name, _ in network.stages()][-1] == "recurrence"
    assert network.num_head_stages == 1


def test_half_precision_runs():
    network = narrow()
    try:
        with torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(4, 4)(torch.zeros(2, 3, 4))
    except RuntimeError as error:  # oneDNN has no such LSTM for processors without AVX-512
        pytest.skip(str(error))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(network(clips()).float(), network.float()(clips()).float(), rtol=0.1, atol=0.05)
        assert network.frame_logits(clips()).shape == (2, 6, 3)
        logits, _ = network.step(clips()[:, :, 0], network.start(2))
        assert logits.shape == (2, 3)


def test_wrong_arguments_are_refused():
    for wrong in ({"cell": "gated"}, {"readout": "first"}, {"layers": 0}, {"hidden": 0}):
        with pytest.raises(ConfigError, match="cannot be built"):
            build("cnn_lstm_small", **wrong)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_it_learns_which_way_things_move_and_needs_their_order(cell, learn_motion):
    torch.manual_seed(0)
    trunk = SmallFrames(width=16, depths=(1, 1))
    network = CnnRnn(SPEC.with_(clip_len=8), 2, trunk, cell=cell, hidden=64, dropout=0.0)
    in_order, shuffled = learn_motion(network, steps=50)
    assert in_order >= 0.9
    assert shuffled <= 0.7
