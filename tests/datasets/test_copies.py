from __future__ import annotations

import shutil

from kinema.datasets import open_data
from kinema.datasets.copies import warn_of_copies


def test_validation_videos_that_are_training_videos_are_named(tmp_path, caplog):
    for number, place in enumerate(("train/run/a.mp4", "train/jump/b.mp4", "train/jump/c.mp4", "val/jump/d.mp4")):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(bytes(10_000) + bytes([number]))  # alike in the middle, and not the same
    data = open_data(tmp_path)
    warn_of_copies(data.part("train"), data.part("valid"))
    assert not caplog.text
    shutil.copy(tmp_path / "train/run/a.mp4", tmp_path / "val/jump/e.mp4")
    (tmp_path / "val/jump/empty.mp4").touch()
    (tmp_path / "train/jump/empty.mp4").touch()
    data = open_data(tmp_path)
    warn_of_copies(data.part("train"), data.part("valid"))
    assert "1 copies of training videos in the validation part" in caplog.text
    assert "val/jump/e.mp4 = train/run/a.mp4" in caplog.text
