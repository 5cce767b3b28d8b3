from __future__ import annotations

import shutil

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError, UnknownName
from kinema.labels import Labels


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


def test_an_umlaut_is_one_letter_however_it_is_coded(touch):
    """macOS writes a letter and two dots; a copy from elsewhere one letter."""
    apart, joined = "Schla\u0308gerei", "Schl\u00e4gerei"
    data = open_data(touch(f"train/{joined}/a.mp4", "train/ruhig/b.mp4", f"val/{apart}/c.mp4"))
    assert data.counts() == {joined: 2, "ruhig": 1}
    assert open_data(data.root, labels=Labels((apart, "ruhig"))).labels.index(apart) == 0


def test_missing_files_are_counted_and_the_first_are_named(manifest):
    with pytest.raises(DataError, match=r"4 of 5 listed files do not exist: .*x1.mp4, x2.mp4, x3.mp4 and 1 more"):
        open_data(manifest("path,label\na.mp4,run\n" + "".join(f"x{n}.mp4,jump\n" for n in range(1, 5))))


def test_parts_for_some_rows_only_are_an_error(manifest):
    with pytest.raises(DataError, match="1 of 2 examples have no part"):
        open_data(manifest("path,label,split\na.mp4,run,train\nb.mp4,jump,\n"))
