from __future__ import annotations

from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError


@pytest.fixture
def hmdb(touch) -> Path:
    root = touch(
        "videos/kick/Film_A_kick_f_0.avi", "videos/kick/Film B_kick_f_1.avi", "videos/kick/C_kick_0.avi",
        "videos/kick_ball/Film_A_kick_ball_f_0.avi",
    )  # fmt: skip
    lists = root / "splits"
    lists.mkdir()
    (lists / "kick_test_split1.txt").write_text("Film_A_kick_f_0.avi 1 \nFilm B_kick_f_1.avi 2 \nC_kick_0.avi 0 \n")
    (lists / "kick_ball_test_split1.txt").write_text("Film_A_kick_ball_f_0.avi 1 \n")
    return root


def test_hmdb51_follows_its_lists_and_leaves_out_what_a_fold_does_not_use(hmdb):
    data = open_data(hmdb)
    assert sorted((Path(e.path).name, e.label, e.split, e.group) for e in data.examples) == [
        ("Film B_kick_f_1.avi", "kick", "test", "kick/Film B"),
        ("Film_A_kick_ball_f_0.avi", "kick_ball", "train", "kick_ball/Film_A"),
        ("Film_A_kick_f_0.avi", "kick", "train", "kick/Film_A"),
    ]


def test_hmdb51_names_a_damaged_line(hmdb):
    (hmdb / "splits" / "kick_test_split1.txt").write_text("Film_A_kick_f_0.avi\n")
    with pytest.raises(DataError, match=r"Film_A_kick_f_0\.avi"):
        open_data(hmdb)


@pytest.mark.real_data
def test_the_official_lists_can_be_read(real_data):
    lists = real_data / "annotations/ucf101_hmdb51_splits/data/hmdb51_splits"
    with pytest.raises(DataError, match="5100 of 5100"):
        open_data(lists, format="hmdb51")
