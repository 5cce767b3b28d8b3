"""Lists `PATH NUMBER` of TSN, mmaction2 and PySlowFast."""

from __future__ import annotations

import os

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError


@pytest.fixture
def listed(touch):
    """Videos, and one list with some text."""

    def make(text: str, name: str = "train_list.txt"):
        root = touch("run/1.mp4", "run/2.mp4", "jump/3 of 4.mp4", *(f"frames/v1/img_{n:05}.jpg" for n in range(1, 13)))
        (root / name).write_text(text, encoding="utf-8")
        return root / name

    return make


def _rows(data) -> list[tuple[str, tuple[str, ...], str | None]]:
    return [(os.path.relpath(e.path, os.path.dirname(data.root)), e.labels, e.split) for e in data.examples]


@pytest.mark.parametrize("mark", [" ", ",", ", ", "\t", "|", ";", "  "])
@pytest.mark.parametrize(
    "name", ["train_list.txt", "train.csv", "kinetics400_train_list_videos.txt", "trainlist01.txt"]
)
def test_a_path_and_a_number_a_line(listed, mark, name):
    data = open_data(listed(f"# made by hand\nrun/1.mp4{mark}0\n\njump/3 of 4.mp4{mark}10\nrun/2.mp4{mark}2\n", name))
    assert _rows(data) == [
        ("run/1.mp4", ("0",), "train"),
        ("jump/3 of 4.mp4", ("10",), "train"),
        ("run/2.mp4", ("2",), "train"),
    ]
    assert list(data.labels) == ["0", "2", "10"]


def test_several_numbers_are_several_classes(listed):
    data = open_data(listed("run/1.mp4 0 1\nrun/2.mp4 1,3\njump/3 of 4.mp4 1 1\n", "list.txt"))
    assert [example.labels for example in data.examples] == [("0", "1"), ("1", "3"), ("1",)]
    assert data.multi_label


def test_folders_of_frames_have_their_number_before_the_class(listed):
    data = open_data(listed("frames/v1 12 3\nrun/1.mp4 0\n", "val.txt"))
    assert _rows(data) == [("frames/v1", ("3",), "valid"), ("run/1.mp4", ("0",), "valid")]
    assert open_data(listed("frames/v1 12 12 3\nrun/1.mp4 0\n")).examples[0].labels == ("12", "3")


def test_another_number_of_frames_is_an_error(listed):
    with pytest.raises(DataError, match=r"5 is not the number of frames, which is 12: .*line 1: .*offsets"):
        open_data(listed("frames/v1 5 7 3\nrun/1.mp4 0\n"))


def test_paths_may_be_relative_to_a_folder_beside_the_list(touch):
    root = touch("videos_train/run/1.mp4", "videos_train/jump/2.mp4", "annotations/x")
    (root / "annotations" / "train.txt").write_text("run/1.mp4 0\njump/2.mp4 1\n")
    (root / "here_train.txt").write_text("run/1.mp4 0\njump/2.mp4 1\n")
    for path in (root / "annotations" / "train.txt", root / "here_train.txt"):
        assert [example.path for example in open_data(path).examples] == [
            str(root / "videos_train/run/1.mp4"),
            str(root / "videos_train/jump/2.mp4"),
        ]


def test_a_folder_with_a_list_for_each_part_is_read_as_a_whole(touch):
    root = touch("videos/1.mp4", "videos/2.mp4", "videos/3.mp4")
    for part, text in (("train", "1.mp4 0\n2.mp4 1\n"), ("val", "3.mp4 1\n")):
        (root / f"{part}.csv").write_text(text)
    data = open_data(root)
    assert (data.parts, len(data)) == (("train", "valid"), 3)
    (root / "train_2.csv").write_text("1.mp4 0\n")
    with pytest.raises(DataError, match="2 lists of the train part"):
        open_data(root)


def test_listed_files_that_do_not_exist_are_left_out(listed, caplog):
    assert len(open_data(listed("run/1.mp4 0\nrun/9.mp4 1\nrun/2.mp4 1\n"))) == 2
    assert "left out 1 of 3 listed videos that do not exist: run/9.mp4" in caplog.text
    with pytest.raises(DataError, match="none of the 2 listed videos exists"):
        open_data(listed("a/1.mp4 0\nb/9.mp4 1\n"))


def test_names_come_from_a_file_beside_the_list(listed, caplog):
    path = listed("run/1.mp4 1\njump/3 of 4.mp4 0\n")
    (path.parent / "classes.txt").write_text("jump\nrun\nswim\n")
    data = open_data(path)
    assert [example.label for example in data.examples] == ["run", "jump"]
    assert list(data.labels) == ["jump", "run", "swim"]


def test_a_file_of_names_is_no_list(listed):
    path = listed("run/1.mp4 1\njump/3 of 4.mp4 0\n")
    (path.parent / "label_map.txt").write_text("jump 0\nrun 1\n")
    assert open_data(path).counts() == {"jump": 1, "run": 1}


def test_a_wrong_line_is_named(listed):
    lines = [f"run/{number % 2 + 1}.mp4 {number}" for number in range(30)]
    with pytest.raises(DataError, match=r"not a path and class numbers: .*line 26: write PATH NUMBER"):
        open_data(listed("\n".join([*lines[:25], "run/1.mp4", *lines[25:]])))


def test_a_manifest_and_the_lists_of_hmdb51_are_no_such_lists(listed):
    assert list(open_data(listed("path,label\nrun/1.mp4,0\nrun/2.mp4,1\n", "train.csv")).labels) == ["0", "1"]
    with pytest.raises(DataError, match="not a data set"):
        open_data(listed("1.mp4 1\n2.mp4 2\n", "run_test_split1.txt"))
