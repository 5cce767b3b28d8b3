"""Checkpoints: whole or not there, and plain about what is wrong with them."""

from __future__ import annotations

import json
import math
import struct
import time
from dataclasses import replace

import pytest
import torch

from kinema.errors import CheckpointError, OutputError
from kinema.localization.grouping import GroupingOptions
from kinema.models import BackboneSource, build
from kinema.types import InputSpec
from kinema.weights.checkpoint import CARD, WEIGHTS, ModelCard, load_checkpoint, read_card, save_checkpoint


@pytest.fixture
def network():
    return build("single_frame_tiny", num_classes=2, spec={"window_s": 2.5, "sampling": "spread"})


@pytest.fixture
def folder(network, tmp_path):
    card = ModelCard.of(network, ("no", "yes"), training={"epochs": 3}, data={"name": "d"}, metrics={"macro_f1": 0.5})
    save_checkpoint(tmp_path / "best", network, card)
    return tmp_path / "best"


def test_card_can_be_read_by_people_and_comes_back_the_same(folder, network):
    values = json.loads((folder / CARD).read_text())
    assert values["variant"] == "single_frame_tiny"
    assert values["labels"] == ["no", "yes"]
    card = read_card(folder)
    assert card.input == network.spec
    assert card.grouping is None
    assert card.training == {"epochs": 3}
    assert card.metrics == {"macro_f1": 0.5}


def test_an_older_card_is_read_and_one_that_lacks_what_it_always_had_is_not(folder, network):
    values = json.loads((folder / CARD).read_text())
    for newer in ("squeezed", "flow"):
        del values["input"][newer]
    (folder / CARD).write_text(json.dumps(values))
    assert load_checkpoint(folder)[1].input == network.spec
    del values["input"]["short_side"]
    (folder / CARD).write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="short_side"):
        read_card(folder)


def test_a_card_keeps_how_segments_are_made(network, tmp_path):
    grouping = GroupingOptions(method="hysteresis", by_class={"yes": (0.5, 0.25)}, background=("no",))
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("no", "yes"), grouping=grouping))
    assert read_card(tmp_path / "best").grouping == grouping


def test_late_fusion_saved_before_its_norm_gives_the_same_scores(tmp_path):
    network = build("late_fusion_tiny", num_classes=2, join_norm=False).eval()
    card = ModelCard.of(network, ("no", "yes"))
    save_checkpoint(tmp_path / "old", network, replace(card, arguments={"num_classes": 2}))
    clip = torch.randn(1, *network.spec.shape, generator=torch.Generator().manual_seed(0))
    read = load_checkpoint(tmp_path / "old")[0]
    assert torch.equal(read(clip), network(clip))
    save_checkpoint(tmp_path / "new", read, ModelCard.of(read, ("no", "yes")))
    assert torch.equal(load_checkpoint(tmp_path / "new")[0](clip), network(clip))


@pytest.mark.parametrize("squeezed", [[128], [], "128x171", [1, 1], 128, [None, 5]])
def test_a_card_whose_frames_cannot_be_squeezed_like_this_is_damaged(folder, squeezed):
    values = json.loads((folder / CARD).read_text())
    values["input"]["squeezed"] = squeezed
    (folder / CARD).write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="damaged model card"):
        read_card(folder)


def test_a_checkpoint_is_replaced_as_a_whole(folder, network):
    (folder / "old.txt").write_text("of the last epoch")
    with torch.no_grad():
        network.classifier.bias.fill_(7)
    save_checkpoint(folder, network, read_card(folder), extras=lambda place: (place / "state.bin").write_bytes(b"x"))
    assert sorted(path.name for path in folder.iterdir()) == [CARD, WEIGHTS, "state.bin"]
    assert load_checkpoint(folder)[0].classifier.bias[0].item() == 7
    assert [path.name for path in folder.parent.iterdir()] == ["best"]


def test_a_write_that_fails_leaves_the_old_one(folder, network):
    def fail(place):
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="no space left"):
        save_checkpoint(folder, network, read_card(folder), extras=fail)
    load_checkpoint(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["best"]


def test_a_run_killed_between_the_renames_is_still_there(folder):
    folder.rename(folder.with_name(".best.previous"))
    assert load_checkpoint(folder)[1].labels == ("no", "yes")


def test_other_folders_are_not_overwritten(tmp_path, network):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="something other than a checkpoint"):
        save_checkpoint(tmp_path, network, ModelCard.of(network, ("a", "b")))
    assert (tmp_path / "thesis.txt").exists()


def test_labels_and_classes_must_agree(tmp_path, network):
    with pytest.raises(CheckpointError, match="3 labels, 2 classes"):
        save_checkpoint(tmp_path / "x", network, ModelCard.of(network, ("a", "b", "c")))


def change_card(folder, **values):
    path = folder / CARD
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_what_is_wrong_is_said(folder, tmp_path):
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "nothing")
    change_card(folder, format=99)
    with pytest.raises(CheckpointError, match="newer"):
        load_checkpoint(folder)
    change_card(folder, format=1, labels=["a", "b", "c"])
    with pytest.raises(CheckpointError, match="do not fit"):
        load_checkpoint(folder)
    change_card(folder, labels=["a", "b"], variant="single_frame_tny")
    with pytest.raises(CheckpointError, match="Did you mean single_frame_tiny"):
        load_checkpoint(folder)


def test_damaged_files_are_told_apart(folder):
    weights = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(weights[: len(weights) // 2])
    with pytest.raises(CheckpointError, match="cannot read weights"):
        load_checkpoint(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="no such weights file"):
        load_checkpoint(folder)
    (folder / CARD).write_text("{")
    with pytest.raises(CheckpointError, match="damaged model card"):
        load_checkpoint(folder)


def test_half_precision_weights_stay_readable(folder, network):
    save_checkpoint(folder, network.half(), read_card(folder))
    loaded, _ = load_checkpoint(folder)
    assert next(loaded.parameters()).dtype == torch.float32


@pytest.mark.parametrize(
    "more",
    [
        {"backbone_args": {"checkpoint_path": "evil.pth"}},
        {"backbone_args": {"pretrained_cfg": {"file": "evil.pth"}}},
        {"backbone_args": {"pretrained": True}},
        {"backbone_args": {"cache_dir": "elsewhere"}},
        {"pretrained": True},
        {"backbone_weights": "evil.pth"},
    ],
)
def test_a_card_cannot_make_a_backbone_load_other_files(tmp_path, monkeypatch, more):
    network = build("single_frame", backbone="test_resnet", num_classes=2, spec={"size": [32, 32]})
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("a", "b")))
    change_card(tmp_path / "best", arguments={**network.arguments, **more})
    monkeypatch.setattr(BackboneSource, "_model", lambda source: pytest.fail("a network was built"))
    with pytest.raises(CheckpointError, match=next(iter(more.get("backbone_args", more)))):
        load_checkpoint(tmp_path / "best")


def test_nor_can_a_card_of_joined_networks(tmp_path):
    member = {"variant": "single_frame", "clip_len": 1, "arguments": {"backbone": "test_resnet"}}
    network = build("fused", num_classes=2, members=[member, {"variant": "temporal_stream_small"}])
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("a", "b")))
    member["arguments"]["backbone_args"] = {"checkpoint_path": "evil.pth"}
    change_card(tmp_path / "best", arguments={**network.arguments, "members": [member]})
    with pytest.raises(CheckpointError, match="checkpoint_path"):
        load_checkpoint(tmp_path / "best")


STRANGE = (
    None, "", "no", True, -1, 0, 0.5, 10**9, 10**30, 1e300, math.nan, math.inf, [], [None], [0], [-1], ["a", "a"],
    [1] * 100_000, [10**9] * 3, [[10**6] * 3] * 3, [[[[[]]]]], {}, {"a": 1},
)  # fmt: skip
"""Values of wrong kinds and impossible sizes, for any field of a card."""

SMALL: dict[str, dict[str, object]] = {
    "single_frame_tiny": {"width": 8},
    "slow_fusion_tiny": {"nonlocal_stages": [1], "nonlocal_every": 1, "nonlocal_mode": "dot"},
    "r3d_small": {"width": 8, "depths": [1, 1, 1, 1], "convs": ["3d"] * 4},
    "video_vit_small": {"width": 16, "depth": 1, "heads": 1, "patch": 16, "tubelet": 2},
    "slowfast_small": {"alpha": 4, "beta": 0.125, "width": 8, "depths": [1, 1, 1, 1]},
    "cnn_gru_small": {"hidden": 8, "layers": 1, "dropout": 0.0},
    "mvit_small": {"width": 16, "depth": 2, "drop_path": 0.0},
    "causal_small": {"width": 8, "depths": [1, 1]},
    "two_stream_small": {"members": [], "weights": [1.0, 1.0]},
    "inflated_small": {"backbone": "test_resnet", "backbone_args": {}, "fixed_norms": False},
}
"""A network of each way of building, and arguments to replace."""


def load_quickly(folder) -> None:
    """Load a checkpoint: it is a network, or one error of one short line, and soon."""
    started, said = time.process_time(), ""
    try:
        load_checkpoint(folder)
    except CheckpointError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1
    assert len(said) < 1000
    assert time.process_time() - started < 10


FIELDS = [
    *(("input", name) for name in InputSpec().to_json()),
    *((name,) for name in ModelCard("c3d", {}, ("a", "b")).to_json()),
]


@pytest.mark.parametrize("field", FIELDS, ids=".".join)
def test_no_value_of_a_card_ends_otherwise_than_in_one_line(folder, field):
    good = (folder / CARD).read_text()
    for value in STRANGE:
        values = json.loads(good)
        inner = values["input"] if len(field) == 2 else values
        inner[field[-1]] = value
        (folder / CARD).write_text(json.dumps(values))
        load_quickly(folder)


@pytest.mark.parametrize("variant", SMALL)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_no_argument_of_a_network_ends_otherwise_than_in_one_line(folder, variant):
    values = json.loads((folder / CARD).read_text())
    for name in SMALL[variant]:
        for value in STRANGE:
            values |= {"variant": variant, "arguments": {name: value}}
            (folder / CARD).write_text(json.dumps(values))
            load_quickly(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multi_label": "no"}, "multi_label must be a bool"),
        ({"labels": "no"}, "labels must be a list"),
        ({"labels": ["yes", "yes"]}, "two labels are called 'yes'"),
        ({"labels": [1, 2]}, "labels must be texts"),
        ({"task": "frames"}, "task must be boxes or clip or frame or "),
        ({"format": True}, "format must be a int"),
        ({"grouping": {"method": "magic"}}, "unknown self.method='magic'"),
        ({"grouping": {"smoothing_s": "wide"}}, "damaged model card"),
        ({"grouping": {"width": 1}}, "damaged model card .*width"),
        ({"grouping": [1]}, "grouping must be a dict"),
        ({"arguments": {"width": 10**6}}, "more than .* parameters"),
        ({"arguments": {"width": [1] * 2000}}, "lists of at most 1000"),
    ],
)
def test_impossible_values_are_named(folder, changes, message):
    change_card(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


def test_a_card_too_deep_or_too_large_is_refused(folder):
    (folder / CARD).write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="damaged model card"):
        read_card(folder)
    (folder / CARD).write_bytes(b" " * ((16 << 20) + 1))
    with pytest.raises(CheckpointError, match="more than 16 MB"):
        read_card(folder)


@pytest.mark.parametrize("content", [b"", b"{}", struct.pack("<Q", 1 << 60), struct.pack("<Q", 50) + b"{" * 50])
def test_strange_weights_are_one_line(folder, content):
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot read weights"):
        load_checkpoint(folder)


def test_a_file_in_place_of_a_folder_is_no_checkpoint(tmp_path):
    (tmp_path / "best").write_text("")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "best")
