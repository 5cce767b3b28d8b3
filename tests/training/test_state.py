"""The state of a run in a file."""

from __future__ import annotations

import pytest
import torch

from kinema.errors import CheckpointError
from kinema.training.state import Tally, TrainingState, load_state, save_state


def test_a_state_is_read_as_it_was_written(tmp_path):
    state = TrainingState(
        epoch=2, batch=3, skipped=4, skipped_in_a_row=1, tally=Tally(loss=0.5, clips=8), broken={"a": "b"}
    )
    save_state(tmp_path / "state.pt", state, {"network": {"weight": torch.ones(2)}})
    found, parts = load_state(tmp_path / "state.pt")
    assert found == state
    assert torch.equal(parts["network"]["weight"], torch.ones(2))


def test_files_keep_the_names_of_earlier_versions(tmp_path):
    save_state(tmp_path / "state.pt", TrainingState(skipped_in_a_row=3), {})
    written = torch.load(tmp_path / "state.pt", weights_only=True)
    assert written["progress"]["in_vain"] == 3
    assert set(written) == {"format", "progress"}


def test_files_that_are_missing_damaged_or_of_another_format_are_named(tmp_path):
    path = tmp_path / "state.pt"
    with pytest.raises(CheckpointError, match="without --resume"):
        load_state(path)
    path.write_bytes(b"cut off")
    with pytest.raises(CheckpointError, match="cannot read the saved state"):
        load_state(path)
    torch.save({"format": 99}, path)
    with pytest.raises(CheckpointError, match="another version"):
        load_state(path)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        torch.ones(2),
        {"format": 1},
        {"format": 1, "progress": 3},
        {"format": 1, "progress": {}},
        {"format": 1, "progress": {"tally": {"loss": 1.0}, "in_vain": 0, "other": 1}},
        {"format": 1, "progress": {"tally": 5, "in_vain": 0}},
        {"classifier.weight": torch.ones(2, 2)},
    ],
)
def test_a_file_of_another_kind_is_one_error(tmp_path, content):
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match=r"state\.pt: start again"):
        load_state(tmp_path / "state.pt")
