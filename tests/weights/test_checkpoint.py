"""Checkpoints: whole or not there, and plain about what is wrong with them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from kinema.errors import CheckpointError, OutputError
from kinema.models import BackboneSource, build
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
