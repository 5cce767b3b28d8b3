from __future__ import annotations

from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError


@pytest.fixture
def ucf(touch) -> Path:
    names = [f"Surf/v_Surf_g0{group}_c01.avi" for group in (1, 2)] + [
        f"Ski/v_Ski_g0{group}_c01.avi" for group in (1, 2)
    ]
    root = touch(*(f"UCF-101/{name}" for name in names))
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Surf\r\n2 Ski\r\n")
    (lists / "trainlist01.txt").write_text("Surf/v_Surf_g02_c01.avi 1\r\nSki/v_Ski_g02_c01.avi 2\r\n")
    (lists / "testlist01.txt").write_text("Surf/v_Surf_g01_c01.avi\r\nSki/v_Ski_g01_c01.avi\r\n")
    return root


def test_ucf101_follows_its_lists(ucf):
    data = open_data(ucf)
    assert data.name == "UCF-101"
    assert list(data.labels) == ["Surf", "Ski"]  # the order of classInd.txt
    assert [(Path(e.path).name, e.split, e.group) for e in data.examples] == [
        ("v_Surf_g02_c01.avi", "train", "Surf_g02"),
        ("v_Ski_g02_c01.avi", "train", "Ski_g02"),
        ("v_Surf_g01_c01.avi", "test", "Surf_g01"),
        ("v_Ski_g01_c01.avi", "test", "Ski_g01"),
    ]


def test_ucf101_counts_videos_that_are_listed_but_not_there(ucf):
    (ucf / "UCF-101/Surf/v_Surf_g01_c01.avi").unlink()
    with pytest.raises(DataError, match="1 of 4 listed files do not exist"):
        open_data(ucf)


def test_ucf101_without_that_fold_says_which_list_is_missing(ucf):
    with pytest.raises(DataError, match="trainlist02"):
        open_data(ucf, fold=2)


@pytest.mark.real_data
def test_the_official_lists_can_be_read(real_data):
    lists = real_data / "annotations/ucf101_hmdb51_splits/data/ucf101_splits"
    with pytest.raises(DataError, match="13320 of 13320"):
        open_data(lists, format="ucf101")
