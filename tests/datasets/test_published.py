"""The list formats of UCF-101, HMDB51, Kinetics and Sports-1M, on small samples written by hand."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError
from kinema.types import TimeSpan


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


@pytest.fixture
def kinetics(touch) -> Path:
    root = touch("train/abseiling/-a_Bc_000010_000020.mp4", "val/xyz.mp4")
    (root / "train.csv").write_text(
        "label,youtube_id,time_start,time_end,split\n"
        "abseiling,-a_Bc,10,20,train\nair drumming,gone,5,15,train\nair drumming,xyz,100,110,train\n"
    )
    (root / "validate.csv").write_text(
        'label,youtube_id,time_start,time_end,split\nabseiling,away,0,10,validate\n"air drumming",xyz,7,17,validate\n'
    )
    return root


def test_kinetics_finds_cut_and_whole_files_and_leaves_out_those_that_are_gone(kinetics, caplog):
    data = open_data(kinetics)
    assert [(Path(e.path).name, e.label, e.span, e.split, e.group) for e in data.examples] == [
        ("-a_Bc_000010_000020.mp4", "abseiling", None, "train", "-a_Bc"),
        ("xyz.mp4", "air drumming", TimeSpan(100, 110), "train", "xyz"),
        ("xyz.mp4", "air drumming", TimeSpan(7, 17), "valid", "xyz"),
    ]
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "left out 2 of 5" in warnings[0]


def test_a_single_kinetics_list_is_enough(kinetics):
    assert len(open_data(kinetics / "train.csv")) == 2


def test_kinetics_without_any_video_is_an_error(kinetics):
    for path in kinetics.rglob("*.mp4"):
        path.unlink()
    with pytest.raises(DataError, match="none of the 5 listed videos"):
        open_data(kinetics)


def test_kinetics_names_the_line_of_a_wrong_row(kinetics):
    (kinetics / "train.csv").write_text('label,youtube_id,note\n\nrun,xyz,"two\nlines"\n,xyz,\n')
    with pytest.raises(DataError, match=r"train\.csv, line 5: fill"):
        open_data(kinetics / "train.csv")


@pytest.fixture
def sports1m(touch) -> Path:
    root = touch("videos/UDqivjS-lpI.mp4", "videos/two.mp4", "own film.mp4")
    (root / "labels.txt").write_text("boomerang\nboxing\nbowling\n")
    (root / "train_partition.txt").write_text(
        "https://www.youtube.com/watch?v=UDqivjS-lpI 0,2\nhttps://www.youtube.com/watch?v=gone 1\nown film.mp4 1\n"
        "http://www.youtube.com/watch?v=two 1\n"
    )
    (root / "test_partition.txt").write_text("http://www.youtube.com/watch?v=two 0\n")
    return root


def test_sports1m_reads_links_paths_and_several_labels(sports1m, caplog):
    data = open_data(sports1m)
    found = {Path(e.path).name: (e.labels, e.split) for e in data.examples}
    assert found == {
        "UDqivjS-lpI.mp4": (("boomerang", "bowling"), "train"),
        "own film.mp4": (("boxing",), "train"),
        "two.mp4": (("boomerang",), "test"),
    }
    assert list(data.labels) == ["boomerang", "boxing", "bowling"]
    assert data.multi_label
    assert "left out 1 of 5" in caplog.text
    assert "two lists" in caplog.text


def test_sports1m_names_the_line_of_what_is_no_entry(sports1m):
    (sports1m / "train_partition.txt").write_text("own film.mp4 1\n\n\nown film.mp4\n")
    with pytest.raises(DataError, match=r"train_partition\.txt, line 4: write"):
        open_data(sports1m)


def test_sports1m_refuses_a_class_number_without_a_name(sports1m):
    (sports1m / "train_partition.txt").write_text("own film.mp4 3\n")
    with pytest.raises(DataError, match="no class number 3"):
        open_data(sports1m)


@pytest.mark.real_data
def test_the_official_lists_can_be_read(real_data, tmp_path):
    from kinema.datasets.formats.hmdb51 import list_hmdb51
    from kinema.datasets.formats.ucf101 import list_ucf101

    lists = real_data / "annotations/ucf101_hmdb51_splits/data"
    with pytest.raises(DataError, match="13320 of 13320"):
        list_ucf101(str(lists / "ucf101_splits"))
    with pytest.raises(DataError, match="5100 of 5100"):
        list_hmdb51(str(lists / "hmdb51_splits"))
