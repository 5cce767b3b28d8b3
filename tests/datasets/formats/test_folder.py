from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError, UnknownName
from kinema.labels import Labels


def test_class_folders_give_labels_in_order_of_name(touch):
    data = open_data(touch("run/a.mp4", "run/b.avi", "jump/c.MOV"))
    assert list(data.labels) == ["jump", "run"]
    assert data.counts() == {"jump": 1, "run": 2}
    assert not data.has_parts


def test_files_are_listed_in_natural_order(touch):
    data = open_data(touch("a/clip10.mp4", "a/clip9.mp4", "b/x.mp4"))
    assert [Path(example.path).name for example in data.examples] == ["clip9.mp4", "clip10.mp4", "x.mp4"]


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


def test_hidden_files_are_left_out(touch):
    data = open_data(touch("a/1.mp4", "a/._1.mp4", "b/2.mp4", ".cache/x.mp4"))
    assert len(data) == 2


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


def test_what_kinema_wrote_into_the_data_is_no_data(touch, caplog):
    """Training inside the folder of the data leaves plots there, which look like stills of a class called runs."""
    run = ("config.toml", "environment.json", "curves.png", "best/model.json", "best/model.safetensors", "clip.mp4")
    inside = [f"{place}/{name}" for place in ("runs/one", "two") for name in run]
    data = open_data(
        touch(
            "fight/a.mp4", "fight/old/report.html", "fight/old/compare.json", "fight/old/x.mp4", "calm/b.mp4", *inside
        )
    )
    assert [data.labels, len(data)] == [Labels(("calm", "fight")), 2]
    assert "left out 2 class folders without a video: runs, two" in caplog.text


def test_an_umlaut_is_one_letter_however_it_is_coded(touch):
    """macOS writes a letter and two dots; a copy from elsewhere one letter."""
    apart, joined = "Schla\u0308gerei", "Schl\u00e4gerei"
    data = open_data(touch(f"train/{joined}/a.mp4", "train/ruhig/b.mp4", f"val/{apart}/c.mp4"))
    assert data.counts() == {joined: 2, "ruhig": 1}
    assert open_data(data.root, labels=Labels((apart, "ruhig"))).labels.index(apart) == 0


def test_videos_among_stills_are_counted(touch, caplog):
    open_data(touch("a/1.jpg", "b/2.png", "b/3.mp4", "c/4.mp4"), format="stills")
    assert "left out 1 class folders without a picture: c" in caplog.text
    assert "left out 2 files that are no picture by their endings: 2 .mp4" in caplog.text


def test_a_folder_of_pictures_inside_a_class_is_one_video(touch):
    data = open_data(touch("a/film1/1.jpg", "a/film1/2.jpg", "b/film2/1.jpg"))
    assert [Path(example.path).name for example in data.examples] == ["film1", "film2"]


def test_pictures_in_class_folders_are_stills(touch):
    data = open_data(touch("train/a/1.jpg", "train/a/2.png", "train/b/1.jpg"))
    assert data.counts() == {"a": 2, "b": 1}


def test_ucf_file_names_tell_the_film(touch):
    data = open_data(touch("Diving/v_Diving_g01_c02.avi", "Biking/other.avi"))
    assert {example.group for example in data.examples} == {"Diving_g01", None}


def test_links_that_lead_in_circles_end(touch):
    root = touch("a/1.mp4", "b/2.mp4")
    (root / "a" / "again").symlink_to(root / "a", target_is_directory=True)
    assert len(open_data(root)) == 2


def test_a_missing_folder_suggests_its_neighbour(touch):
    root = touch("hockey/a/1.mp4")
    with pytest.raises(DataError, match=r"Did you mean .*hockey"):
        open_data(root / "hokey")


def test_an_empty_folder_says_what_to_put_in(tmp_path):
    with pytest.raises(DataError, match="one folder a class"):
        open_data(tmp_path)


def test_videos_without_class_folders_say_what_to_do(touch):
    with pytest.raises(DataError, match="no class folder"):
        open_data(touch("1.mp4", "2.mp4"))


def test_one_class_is_too_few(touch):
    with pytest.raises(DataError, match="one class only"):
        open_data(touch("a/1.mp4", "a/2.mp4"))


def test_one_class_is_enough_for_a_trained_network(touch):
    data = open_data(touch("a/1.mp4"), labels=Labels(("b", "a")))
    assert data.targets(data.examples[0]) == (1,)


def test_a_class_that_the_network_does_not_know_says_the_nearest(touch):
    with pytest.raises(UnknownName, match="Did you mean fight"):
        open_data(touch("figth/1.mp4"), labels=Labels(("fight", "no_fight")))


def test_a_misspelt_class_in_the_validation_part_says_the_nearest(touch):
    with pytest.raises(DataError, match=r"'figth' of the valid part .*Did you mean fight"):
        open_data(touch("train/fight/1.mp4", "train/calm/1.mp4", "valid/figth/2.mp4"))


def test_an_unknown_format_says_the_nearest(touch):
    with pytest.raises(UnknownName, match="kinetics"):
        open_data(touch("a/1.mp4"), format="kinetiks")


def test_the_fingerprint_stays_when_the_folder_moves_and_changes_with_content(touch):
    root = touch("here/a/1.mp4", "here/b/2.mp4")
    before = open_data(root / "here").fingerprint
    shutil.move(root / "here", root / "there")
    assert open_data(root / "there").fingerprint == before
    assert open_data(touch("there/b/3.mp4") / "there").fingerprint != before


def test_a_missing_part_says_which_there_are(touch):
    data = open_data(touch("train/a/1.mp4", "train/b/1.mp4"))
    with pytest.raises(DataError, match="train"):
        data.part("test")
    with pytest.raises(UnknownName, match="valid"):
        data.part("valdi")
