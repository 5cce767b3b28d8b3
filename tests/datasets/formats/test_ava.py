"""A folder in AVA's format: found by boxes.json, which says what files leave open; nothing is assumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kinema.datasets.located_boxes import BoxSet
from kinema.datasets.opening import open_data
from kinema.errors import DataError, KinemaError
from kinema.video.writer import VideoWriter

ABOUT = {
    "videos": "videos", "labels": "labels.pbtxt", "parts": {"train": "train.csv", "val": "val.csv"},
    "boxes": "normalised", "time_offset_s": 900, "key_frame_step_s": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("a", "b"):
        with VideoWriter(folder / f"{name}.mp4", 5.0, size=(20, 40)) as writer:
            for _ in range(25):
                writer.write(np.zeros((20, 40, 3), np.uint8))
    return folder


@pytest.fixture
def folder(tmp_path, videos) -> Path:
    (tmp_path / "videos").symlink_to(videos)
    (tmp_path / "labels.pbtxt").write_text('item { name: "stand" id: 1 }\nitem { name: "walk" id: 7 }\n')
    (tmp_path / "train.csv").write_text(
        "a,901,0.1,0.2,0.5,0.9,1,0\na,901,0.1,0.2,0.5,0.9,7,0\na,902\na,903,0,0,1,1,7,0\n"
    )
    (tmp_path / "val.csv").write_text("b.mp4,901,0.1,0.2,0.5,0.9,7,0\n")
    write(tmp_path)
    return tmp_path


def write(folder: Path, **changes: object) -> None:
    entries = {**ABOUT, **changes}
    (folder / "boxes.json").write_text(
        json.dumps({name: value for name, value in entries.items() if value is not None})
    )


def fault_of(folder: Path) -> str:
    with pytest.raises(KinemaError) as caught:
        open_data(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_key_frames_are_examples_with_persons_and_without(folder):
    data = open_data(folder)
    assert isinstance(data, BoxSet)
    assert (data.multi_label, tuple(data.labels), data.parts) == (True, ("stand", "walk"), ("train", "valid"))
    assert [(e.labels, e.span.start_s, e.span.end_s, e.group) for e in data.part("train").examples] == [
        (("stand", "walk"), 0.5, 1.5, "a"), ((), 1.5, 2.5, "a"), (("walk",), 2.5, 3.5, "a")
    ]  # fmt: skip
    assert [len(data.key_frames[e.key].boxes) for e in data.examples] == [1, 0, 1, 1]
    assert open_data(folder / "boxes.json").fingerprint == data.fingerprint


def test_excluded_key_frames_and_ignored_labels_are_left_out(folder):
    (folder / "out.csv").write_text("a,0903\n")
    write(folder, excluded="out.csv", ignored_labels=[1])
    data = open_data(folder)
    assert [e.labels for e in data.part("train").examples] == [("walk",), ()]


def test_boxes_in_pixels_are_shares_of_the_video(folder):
    (folder / "val.csv").write_text("b,901,4,2,20,18,7,0\n")
    (folder / "train.csv").write_text("a,901,4,2,20,18,1,0\na,902,4,2,20,18,7,0\n")
    assert 'write "boxes": "pixels"' in fault_of(folder)
    write(folder, boxes="pixels")
    data = open_data(folder)
    assert np.allclose(data.key_frames[data.examples[0].key].boxes, [[0.1, 0.1, 0.5, 0.9]])
    (folder / "train.csv").write_text("a,901,0.1,0.2,0.5,0.9,1,0\na,902,0.1,0.2,0.5,0.9,7,0\n")
    (folder / "val.csv").write_text("b,901,0.1,0.2,0.5,0.9,7,0\n")
    assert 'write "normalised"' in fault_of(folder)


@pytest.mark.parametrize("name", ["boxes", "time_offset_s", "key_frame_step_s", "labels", "parts"])
def test_what_files_leave_open_must_be_said(folder, name: str):
    write(folder, **{name: None})
    assert f"boxes.json does not say {name}" in fault_of(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": "percent"}, "is no unit"),
        ({"time_offset_s": "900"}, "'time_offset_s'"),
        ({"time_offset_s": 0}, "the video ends at 5 s"),
        ({"time_offset_s": 1000}, "before the offset"),
        ({"key_frame_step_s": 5}, "1 s apart"),
        ({"key_frame_step_s": 0}, "above 0"),
        ({"parts": {"everything": "train.csv"}}, "no part"),
        ({"videos": "films"}, "no folder of videos"),
        ({"labels": "no.pbtxt"}, "cannot read this label map"),
        ({"parts": {"train": "no.csv"}}, "cannot read this table"),
        ({"box": "pixels"}, "Did you mean boxes"),
    ],
)
def test_wrong_entries_are_one_line(folder, changes: dict, message: str):
    write(folder, **changes)
    assert message in fault_of(folder)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("c,901,0,0,1,1,1\n", "no video called 'c'"),
        ("a,901,0,0,1,1,5\n", "no label has the id 5"),
        ("b.mp4,901,0,0,1,1,1\n", "in two parts"),
        ("", "no key frames"),
    ],
)
def test_wrong_rows_are_one_line_with_their_place(folder, rows: str, message: str):
    (folder / "train.csv").write_text(rows)
    if not rows:
        write(folder, parts={"train": "train.csv"})
    found = fault_of(folder)
    assert message in found
    assert not rows or "line 1" in found


def test_a_table_alone_is_a_part_and_asks_for_what_it_leaves_open(folder):
    part = open_data(folder / "val.csv")
    assert [len(part.key_frames[example.key].boxes) for example in part.examples] == [1]
    (folder / "other.csv").write_text("a,901,0,0,1,1,1\n")
    assert "no part of the data" in fault_of(folder / "other.csv")
    (folder / "boxes.json").unlink()
    assert "no boxes.json that can be read" in fault_of(folder / "val.csv")
    (folder / "manifest.csv").write_text("path,label\nvideos/a.mp4,stand\nvideos/b.mp4,walk\n")
    assert not isinstance(open_data(folder / "manifest.csv"), BoxSet)


def test_all_wrong_rows_can_be_collected(folder):
    (folder / "train.csv").write_text("a,901,0,0,1,1,5\na,902,0,0,1,1,6\na,903,0,0,1,1,1\na,904,0,0,1,1,7\n")
    faults: list[DataError] = []
    data = open_data(folder, faults=faults)
    assert len(faults) == 2
    assert len(data.part("train")) == 2
