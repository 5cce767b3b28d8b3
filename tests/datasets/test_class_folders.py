"""Folders of classes and parts; what the format `folder` makes of them is tested with it."""

from __future__ import annotations

import pytest

from kinema.datasets.class_folders import class_folders, part_of


@pytest.mark.parametrize(
    ("name", "part"),
    [("train", "train"), ("Val", "valid"), ("testset", "test"), ("val2017", "valid"), ("training_clips", "train")],
)
def test_names_of_parts(name, part):
    assert part_of(name) == part


@pytest.mark.parametrize("name", ["bus", "trains", "contest", "set", "videos", "2017", "rest"])
def test_names_of_no_parts(name):
    assert part_of(name) is None


def test_two_spellings_of_a_part_are_listed_together(touch):
    root = str(touch("val/a/1.mp4", "train/a/2.mp4", "valid/a/3.mp4"))
    assert class_folders(root) == [
        ("train", f"{root}/train/a"),
        ("valid", f"{root}/val/a"),
        ("valid", f"{root}/valid/a"),
    ]
