from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kinema.datasets import open_data
from kinema.datasets.synthetic import write_motion_set
from kinema.errors import OutputError
from kinema.video import open_video
from kinema.video.synthetic import APPEARANCES, MOTIONS


def test_a_written_set_opens_with_parts_and_classes(tmp_path):
    steps = []
    root = write_motion_set(tmp_path / "set", 2, 1, num_frames=6, advance=steps.append)
    data = open_data(root)
    assert sorted(data.labels) == sorted(MOTIONS)
    assert set(data.part("train").counts().values()) == {2}
    assert set(data.part("valid").counts().values()) == {1}
    assert sum(steps) == len(data) == 3 * len(MOTIONS)


def test_the_same_seed_draws_the_same_videos(tmp_path):
    def drawn(name: str, seed: int) -> np.ndarray:
        root = write_motion_set(tmp_path / name, 1, 1, seed=seed, num_frames=4)
        films = [open_video(path) for path in sorted(Path(root).rglob("*.mp4"))]
        return np.stack([film.frames_at(range(4)) for film in films]).astype(int)

    one = drawn("a", 3)
    assert np.abs(one - drawn("b", 3)).mean() < 1  # encoders may round differently
    assert np.abs(one - drawn("c", 4)).mean() > 20


def test_no_video_is_written_twice(tmp_path):
    films = [p.read_bytes() for p in Path(write_motion_set(tmp_path / "set", 2, 2, num_frames=4)).rglob("*.mp4")]
    assert len(set(films)) == len(films)


def test_textures_survive_the_encoding(tmp_path):
    from kinema.video.synthetic import draw_appearance

    root = write_motion_set(tmp_path / "set", 1, 1, seed=5, kind="appearance", num_frames=4)
    label = APPEARANCES[0]
    drawn = draw_appearance(label, np.random.default_rng([5, 0, 0, 1]), 4, (48, 48))
    with open_video(f"{root}/train/{label}/0001.mp4") as video:
        read = video.frames_at(range(4))
        assert video.info.fps == pytest.approx(12)
    assert np.abs(read.astype(int) - drawn).mean() < 12


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        write_motion_set(tmp_path, 1, 1)
