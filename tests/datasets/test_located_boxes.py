"""Boxes in AVA's format: rows, label maps, units, times, detected boxes, and one clear line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kinema.datasets.located_boxes import (
    BoxReading,
    BoxSet,
    check_times,
    key_frame_of,
    read_box_rows,
    read_label_map,
    with_found,
)
from kinema.datasets.opening import open_data
from kinema.errors import DataError

LABELS = {"1": "stand", "3": "walk", "80": "watch (a person)"}
AVA = BoxReading("normalised", 900, 1, {"a": "/videos/a.mp4"})


def rows_of(tmp_path: Path, text: str) -> list:
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    return list(read_box_rows(path))


def fault_of(tmp_path: Path, text: str, reading: BoxReading = AVA) -> str:
    with pytest.raises(DataError) as caught:
        key_frame_of(rows_of(tmp_path, text), reading, LABELS)
    return str(caught.value)


def test_a_person_has_a_row_for_each_label(tmp_path):
    text = "a,0902,0.1,0.2,0.5,0.9,1,7\na,0902,0.1,0.2,0.5,0.9,80,7\n\na,902,0.5,0.2,0.7,0.9,3,8\n"
    frame = key_frame_of(rows_of(tmp_path, text), AVA, LABELS)
    assert frame.time_s == 2.0
    assert frame.labels == (("stand", "watch (a person)"), ("walk",))
    assert frame.persons == ("7", "8")
    assert frame.boxes.tolist() == [[0.1, 0.2, 0.5, 0.9], [0.5, 0.2, 0.7, 0.9]]


def test_a_key_frame_without_persons_is_one(tmp_path):
    for text in ("a,0903\n", "a,0903,,,,,\n"):
        frame = key_frame_of(rows_of(tmp_path, text), AVA, LABELS)
        assert (frame.time_s, frame.boxes.shape, frame.labels) == (3.0, (0, 4), ())


def test_pixels_become_shares_of_the_frame(tmp_path):
    reading = BoxReading("pixels", 0, 1, AVA.videos, {"/videos/a.mp4": (200, 400)})
    frame = key_frame_of(rows_of(tmp_path, "a,1,40,20,401,200,3\n"), reading, LABELS)
    assert frame.boxes.tolist() == [[0.1, 0.1, 1.0, 1.0]]
    assert "lies outside the frame" in fault_of(tmp_path, "a,1,40,20,500,200,3\n", reading)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,902,34,20,120,90,1\n", '"boxes": "pixels"'),
        ("a,902,0.1,0.2,nan,0.9,1\n", "nan is no coordinate"),
        ("a,902,0.1,0.2,x,0.9,1\n", "'x' is no number"),
        ("a,902,0.5,0.2,0.1,0.9,1\n", "left < right"),
        ("a,902,0.1,0.2,0.5\n", "5 cells are no row"),
        ("a,902,0.1,0.2,0.5,0.9,2\n", "no label has the id 2"),
        ("a,902,0.1,0.2,0.5,0.9\n", "no label has the id (empty)"),
        ("a,2,0.1,0.2,0.5,0.9,1\n", "before the offset of 900 s"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_row(tmp_path, text: str, message: str):
    found = fault_of(tmp_path, f"\n{text}")
    assert message in found
    assert "boxes.csv, line 2" in found
    assert "\n" not in found


def test_times_after_the_end_and_another_step_are_noticed(tmp_path):
    whole = BoxReading("normalised", 0, 1, AVA.videos)
    frames = [key_frame_of([row], whole, LABELS) for row in rows_of(tmp_path, "a,902,0,0,1,1,1\na,903,0,0,1,1,1\n")]
    with pytest.raises(DataError, match=r"line 2: correct time_offset_s .* 0, or the row") as caught:
        check_times({"/videos/a.mp4": frames}, whole, {"/videos/a.mp4": 60.0})
    assert "a key frame at 903 s, but the video ends at 60 s" in str(caught.value)
    check_times({"/videos/a.mp4": frames}, whole, {"/videos/a.mp4": 903.0})
    check_times({"/videos/a.mp4": frames}, whole, {})
    every_two = BoxReading("normalised", 0, 2, AVA.videos)
    with pytest.raises(DataError, match="two key frames are 1 s apart"):
        check_times({"/videos/a.mp4": frames}, every_two, {"/videos/a.mp4": 1000.0})


def test_label_maps_of_both_spellings_are_read(tmp_path):
    path = tmp_path / "labels.pbtxt"
    path.write_text('item {\n  name: "stand"\n  id: 12\n}\nlabel { name: \'a "b"\' label_id: 2 label_type: OBJECT }\n')
    assert read_label_map(path) == {"12": "stand", "2": 'a "b"'}
    for text, message in (
        ("item { name: 'x' }", "no name and id"),
        ("", "no labels"),
        ("item{name:'x' id:1}" * 2, "two labels"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_label_map(path)


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> BoxSet:
    from kinema.datasets.synthetic_figures import write_figures_set

    folder = tmp_path_factory.mktemp("set")
    write_figures_set(folder, counts={"train": 5, "valid": 1}, seconds=3, fps=4, size=(48, 64))
    data = open_data(folder)
    assert isinstance(data, BoxSet)
    return data


def test_detected_boxes_get_the_labels_of_the_true_ones_they_overlap(figures, tmp_path):
    key, frame = next((key, frame) for key, frame in figures.key_frames.items() if len(frame.boxes) == 1)
    example = next(example for example in figures.examples if example.key == key)
    name, sides = Path(example.path).stem, ",".join(map(str, frame.boxes[0]))
    file = tmp_path / "found.csv"
    file.write_text(f"{name},{frame.time_s:g},{sides},,0.8\n{name},{frame.time_s:g},0,0,0.05,0.05\nother,1,0,0,1,1\n")
    found = with_found(figures, file)
    boxes, scores, targets = found.to_judge(key)
    assert scores.tolist() == [0.8, 1.0]
    assert np.array_equal(targets[0], figures.targets_of(frame.labels[0]))
    assert not targets[1].any()
    learned, learned_targets = found.to_learn(key)
    assert (len(learned), len(learned_targets), len(boxes)) == (3, 3, 2)
    others = [other for other in figures.key_frames if other != key]
    assert all(len(found.to_judge(other)[0]) == 0 for other in others)
    assert len(with_found(figures, file, min_score=0.9).to_judge(key)[0]) == 1


def test_parts_and_selections_keep_the_boxes(figures):
    part = figures.part("train").with_examples(figures.part("train").examples[:3])
    assert isinstance(part, BoxSet)
    assert all(example.key in part.key_frames for example in part.examples)
