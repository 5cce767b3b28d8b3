"""C3D against its published counts, two ports with copied weights, and motion."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.c3d import FROM_DAVIDEA, FROM_MMACTION, C3d
from kinema.models.state_dict import check_fit
from kinema.weights.convert import convert


def test_counts_are_the_published_ones():
    summary = summarize(build_without_weights("c3d", num_classes=101))
    assert summary.input == (3, 16, 112, 112)
    assert summary.params / 1e6 == pytest.approx(78.41, abs=0.005)
    assert summary.macs / 1e9 == pytest.approx(38.5, rel=0.01)


def test_layers_have_the_sizes_of_the_paper():
    outputs = {layer.name: layer.output for layer in summarize(build_without_weights("c3d")).layers}
    assert [outputs[f"conv{number}.pool"] for number in range(1, 6)] == [
        (64, 16, 56, 56),
        (128, 8, 28, 28),
        (256, 4, 14, 14),
        (512, 2, 7, 7),
        (512, 1, 4, 4),
    ]
    assert outputs["fc6"] == outputs["fc7"] == (4096,)


@pytest.mark.parametrize("centred_pool", [False, True])
@pytest.mark.parametrize(("clip_len", "size"), [(16, (112, 112)), (9, (50, 71)), (1, (16, 16)), (40, (97, 33))])
def test_first_hidden_layer_fits_any_clip(clip_len: int, size: tuple[int, int], centred_pool: bool):
    network = build_without_weights("c3d", spec={"clip_len": clip_len, "size": size}, centred_pool=centred_pool)
    assert network(torch.empty(2, 3, clip_len, *size, device="meta")).shape == (2, 487)


def test_poolings_of_the_authors_and_of_ports_differ_at_the_rim():
    spec = {"clip_len": 8, "size": (48, 48)}
    ours, ports = (build("c3d", width=1 / 32, spec=spec, centred_pool=centred).eval() for centred in (False, True))
    x = torch.zeros(1, 16, 2, 3, 3)
    x[..., 1, 1] = 1.0  # the authors' windows are 0-1 and 2, those of ports 0 and 1-2
    places = [network.get_submodule("conv5.pool")(x)[0, 0, 0].nonzero().tolist() for network in (ours, ports)]
    assert places == [[[0, 0]], [[1, 1]]]


def reference(names: dict[str, str], width: int) -> nn.Module:
    """The five groups in plain torch, with the pooling of ports, its layers called as `names` says."""
    plan = {"1a": 1, "2a": 2, "3a": 4, "3b": 4, "4a": 8, "4b": 8, "5a": 8, "5b": 8}
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 3
    for place, factor in plan.items():
        layers[names.get(place, f"conv{place}")] = nn.Conv3d(inputs, factor * width, 3, padding=1)
        inputs = factor * width
    for name, outputs in (("fc6", 64 * width), ("fc7", 64 * width), ("fc8", 7)):
        layers[names.get(name, name)] = nn.Linear(inputs * 4 if name == "fc6" else inputs, outputs)
        inputs = outputs
    return nn.ModuleDict(layers)


def run_reference(layers: list[nn.Module], x: Tensor) -> Tensor:
    *convs, fc6, fc7, fc8 = layers
    for index, conv in enumerate(convs):
        x = conv(x).relu()
        if index in (0, 1, 3, 5, 7):
            window = (1, 2, 2) if index == 0 else 2
            x = nn.functional.max_pool3d(x, window, padding=(0, 1, 1) if index == 7 else 0)
    return fc8(fc7(fc6(x.flatten(1)).relu()).relu())


@pytest.mark.parametrize("source", ["davidea", "mmaction"])
def test_weights_of_ports_give_the_same_logits(source: str, randomize, check_same_logits):
    torch.manual_seed(0)
    names = {"1a": "conv1", "2a": "conv2"} if source == "davidea" else {}
    layers = randomize(reference(names, width=4))
    state = dict(layers.state_dict())
    if source == "mmaction":
        state = {
            "cls_head.fc_cls." + name.removeprefix("fc8.")
            if name.startswith("fc8")
            else "backbone." + (name.replace(".", ".conv.") if name.startswith("conv") else name): value
            for name, value in state.items()
        }
    spec = {"clip_len": 16, "size": (32, 32)}
    ours = build("c3d", num_classes=7, width=1 / 16, hidden=4096, centred_pool=True, spec=spec).eval()
    converted = convert(state, FROM_DAVIDEA if source == "davidea" else FROM_MMACTION)
    check_fit(converted, ours.state_dict(), source, "")
    ours.load_state_dict(converted)
    check_same_logits(ours, lambda clips: run_reference(list(layers.values()), clips), (3, 16, 32, 32))


def test_biases_begin_as_the_authors_have_them():
    network = build("c3d", width=1 / 16, spec={"clip_len": 4, "size": (32, 32)})
    assert isinstance(network, C3d)
    biases = {name: p.mean().item() for name, p in network.named_parameters() if name.endswith("bias")}
    assert biases.pop("conv1.a.conv.bias") == biases.pop("classifier.bias") == 0
    assert set(biases.values()) == {1.0}


def test_small_network_tells_directions_of_motion(learn_motion):
    torch.manual_seed(0)
    network = build("c3d_small", num_classes=2, spec={"clip_len": 16, "size": (32, 32)}, width=1 / 8)
    ordered, shuffled = learn_motion(network)
    assert ordered >= 0.9
    assert shuffled <= 0.7


def test_small_network_is_cheap():
    summary = summarize(build_without_weights("c3d_small"))
    assert summary.params < 2e6
    assert summary.macs < 0.5e9


def test_strides_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="c3d cannot be built"):
        build("c3d", stem_stride=(1, 2))
