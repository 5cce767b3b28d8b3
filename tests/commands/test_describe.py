"""`kinema describe`: one JSON document, or a table to read."""

from __future__ import annotations

import json

import pytest

from kinema.commands.describe import DescribeConfig, describe
from kinema.errors import UnknownName
from kinema.models import build
from kinema.weights.checkpoint import ModelCard, save_checkpoint


def described(capsys, model: str, **settings):
    assert describe(model, DescribeConfig(json=True, **settings)) == 0
    return json.loads(capsys.readouterr().out)


def test_json_has_what_programs_rely_on(capsys):
    document = described(capsys, "lecture_3d_cnn")
    assert list(document) == ["name", "input", "params", "macs", "flops", "macs_with_norms", "layers"]
    assert document["input"] == [3, 20, 64, 64]
    assert document["layers"][1] == {
        "name": "pool1",
        "type": "MaxPool3d",
        "output": [12, 5, 16, 16],
        "receptive_field": [6, 6, 6],
        "params": 0,
        "macs": 0,
    }


def test_size_frames_and_classes_can_be_chosen(capsys):
    document = described(capsys, "slow_fusion_tiny", size="32x40", frames=12, num_classes=7)
    assert document["input"] == [3, 12, 32, 40]
    assert document["layers"][-1]["output"] == [7]


def test_a_network_of_timm_can_be_described_by_its_name(capsys):
    document = described(capsys, "resnet18", size="224x224")
    assert document["name"] == "resnet18"
    assert round(document["macs"] / 1e9, 1) == 1.8
    assert document["macs"] == described(capsys, "single_frame", backbone="resnet18")["macs"]


def test_a_checkpoint_is_described_with_its_own_input(capsys, tmp_path):
    network = build("slow_fusion_tiny", num_classes=2, spec={"clip_len": 10}, width=8)
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("a", "b")))
    document = described(capsys, str(tmp_path / "best"))
    assert document["input"] == [3, 10, 48, 48]
    assert document["params"] == sum(parameter.numel() for parameter in network.parameters())


def test_the_table_names_every_layer(capsys):
    assert describe("lecture_late_fusion", DescribeConfig()) == 0
    text = capsys.readouterr().out
    for word in ("conv1", "12x20x16x16", "1x14x14", "26,542,080", "multiply-adds"):
        assert word in text


def test_unknown_networks_say_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean slow_fusion"):
        describe("slow_fuson")
