from __future__ import annotations

from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError


def test_class_folders_give_labels_in_order_of_name(touch):
    data = open_data(touch("run/a.mp4", "run/b.avi", "jump/c.MOV"))
    assert list(data.labels) == ["jump", "run"]
    assert data.counts() == {"jump": 1, "run": 2}
    assert not data.has_parts


@pytest.mark.parametrize("spelling", ["val", "valid", "validation", "Validation"])
def test_common_spellings_of_the_validation_part(touch, spelling):
    data = open_data(touch("train/a/1.mp4", "train/b/2.mp4", f"{spelling}/a/3.mp4", "test/b/4.mp4"))
    assert data.parts == ("train", "valid", "test")
    assert data.part("valid").counts() == {"a": 1, "b": 0}
    assert data.part("val").examples == data.part("valid").examples


def test_train_full_of_videos_is_a_class_of_vehicles(touch):
    assert list(open_data(touch("train/1.mp4", "bus/2.mp4")).labels) == ["bus", "train"]


def test_other_folders_beside_parts_are_left_out_with_a_warning(touch, caplog):
    data = open_data(touch("train/a/1.mp4", "train/b/2.mp4", "notes/readme.txt"))
    assert list(data.labels) == ["a", "b"]
    assert "notes" in caplog.text


def test_videos_deeper_in_a_class_folder_belong_to_the_class(touch):
    data = open_data(touch("a/monday/1.mp4", "a/2.mp4", "b/3.mp4"))
    assert data.counts() == {"a": 2, "b": 1}


def test_class_folders_with_nothing_to_learn_from_are_named(touch, caplog):
    root = touch("train/run/1.mp4", "train/jump/2.mp4", "train/wave/3.xyz", "valid/run/4.mp4", "valid/still/5.jpg")
    (root / "valid/empty").mkdir()
    assert list(open_data(root).labels) == ["jump", "run"]
    assert "left out 3 class folders without a video: train/wave, valid/empty, valid/still" in caplog.text


def test_files_left_out_by_their_ending_are_counted(touch, caplog):
    root = touch("run/1.mp4", "run/deep/2.XYZ", "run/3.xyz", "run/4", "jump/5.mp4", "still/6.jpg")
    assert len(open_data(root)) == 2
    assert "left out 4 files that are no video by their endings: 2 .xyz, 1 without an ending, 1 .jpg" in caplog.text


def test_what_lies_beside_videos_is_nothing_to_warn_of(touch, caplog):
    beside = (
        "run/1.txt",
        "run/1.json",
        "run/1.jpg",
        "run/deep/1.csv",
        "jump/Thumbs.db",
        "jump/.DS_Store",
        "jump/._2.xyz",
    )
    assert len(open_data(touch("run/1.mp4", "run/film/1.jpg", "run/film/times.txt", "jump/2.avi", *beside))) == 3
    assert not caplog.records


def test_a_folder_of_images_inside_a_class_is_one_video(touch):
    data = open_data(touch("a/film1/1.jpg", "a/film1/2.jpg", "b/film2/1.jpg"))
    assert [Path(example.path).name for example in data.examples] == ["film1", "film2"]


def test_an_empty_folder_says_what_to_put_in(tmp_path):
    with pytest.raises(DataError, match="one folder a class"):
        open_data(tmp_path)


def test_videos_without_class_folders_say_what_to_do(touch):
    with pytest.raises(DataError, match="no class folder"):
        open_data(touch("1.mp4", "2.mp4"))


def test_videos_beside_the_class_folders_are_reported(touch, caplog):
    assert len(open_data(touch("run/1.mp4", "jump/2.mp4", "all.mp4"))) == 2
    assert "left out 1 video beside the class folders: all.mp4" in caplog.text


def test_videos_beside_the_class_folders_of_a_part_are_reported(touch, caplog):
    assert len(open_data(touch("train/run/1.mp4", "train/jump/2.mp4", "train/3.mp4", "4.mp4"))) == 2
    assert "left out 2 videos beside the class folders: 4.mp4, train/3.mp4" in caplog.text


def test_hidden_class_folders_are_reported(touch, caplog):
    assert len(open_data(touch("run/1.mp4", "jump/2.mp4", ".wave/3.mp4", ".git/config", "__MACOSX/run/._1.mp4"))) == 2
    assert "left out hidden folders with videos in them: .wave" in caplog.text


def test_folders_inside_all_class_folders_are_said_to_be_no_classes(touch, caplog):
    data = open_data(touch("sports/run/1.mp4", "sports/jump/2.mp4", "home/cook/3.mp4"))
    assert list(data.labels) == ["home", "sports"]
    assert "the classes are home, sports; their sub-folders are none: cook, jump, run" in caplog.text


def test_one_folder_around_the_class_folders_is_named(touch):
    with pytest.raises(DataError, match=r"one class only, with the folders jump, run: .*videos: .*give .*videos"):
        open_data(touch("videos/run/1.mp4", "videos/jump/2.mp4"))


@pytest.mark.parametrize("name", ["Train-Set", "training_set", "train_videos", "TrainData", "train2017", "train_split"])
def test_longer_names_of_parts_are_read(touch, name):
    data = open_data(touch(f"{name}/a/1.mp4", f"{name}/b/2.mp4", "val/a/3.mp4"))
    assert data.parts == ("train", "valid")


@pytest.mark.parametrize(
    ("name", "other"), [("trian", "test"), ("vaild", "train"), ("tset", "train"), ("train1", "train2")]
)
def test_misspelt_parts_are_errors(touch, name, other):
    with pytest.raises(DataError, match=rf"folder '{name}' may be meant as part '(train|valid|test)': .*: rename it"):
        open_data(touch(f"{name}/a/1.mp4", f"{name}/b/2.mp4", f"{other}/a/3.mp4", f"{other}/b/4.mp4"))


def test_a_class_like_a_part_is_a_class(touch):
    data = open_data(touch("rain/monday/1.mp4", "sun/monday/2.mp4", "rest/sunday/3.mp4"))
    assert list(data.labels) == ["rain", "rest", "sun"]


def test_class_names_that_differ_in_case_or_signs_are_reported(touch, caplog):
    assert len(open_data(touch("No_Fight/1.mp4", "no fight/2.mp4", "fight/3.mp4")).labels) == 3
    assert "classes whose names differ in case or signs only: No_Fight and no fight" in caplog.text
