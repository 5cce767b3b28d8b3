import json

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.inference.detectors.boxes_file import read_boxes
from kinema.types import VideoInfo

INFO = VideoInfo("films/walk.mp4", 100, 10.0, 10.0, 50, 200)
TIMES_S = np.arange(100) / 10


def boxes_of(tmp_path, name: str, text: str):
    (tmp_path / name).write_text(text)
    return read_boxes(str(tmp_path / name)).tracks_of(INFO, TIMES_S)


def test_mot_counts_frames_from_one_and_keeps_identities(tmp_path):
    frames, (track,) = boxes_of(tmp_path, "a.txt", "1,7,10,5,20,40,0.9,-1,-1,-1\n3,7,12,5,20,40,1\n3,9,0,0,9,9,0\n")
    assert (frames, track.id, track.frames.tolist()) == ([], 7, [0, 2])
    assert track.boxes[0].tolist() == [10, 5, 30, 45]


def test_boxes_without_identities_come_with_the_empty_frames_between(tmp_path):
    frames, tracks = boxes_of(tmp_path, "a.txt", "1,-1,10,5,20,40,0.9\n2,-1,10,5,20,40,0.8\n5,-1,10,5,20,40,-1\n")
    assert tracks == []
    assert [(frame.frame, len(frame)) for frame in frames] == [(0, 1), (1, 1), (2, 0), (3, 0), (4, 1)]
    assert frames[-1].scores.tolist() == [1]


def test_ava_has_shares_times_and_a_row_for_each_label(tmp_path):
    rows = "walk,1.0,0.1,0.2,0.5,0.8,3,4\nwalk,1.0,0.1,0.2,0.5,0.8,9,4\nwalk,2.0,0.1,0.2,0.5,0.8,3,4\n"
    _, (track,) = boxes_of(tmp_path, "a.csv", rows)
    assert (track.id, track.frames.tolist()) == (4, [10, 20])
    assert track.boxes[0] == pytest.approx([20, 10, 100, 40])
    frames, none = boxes_of(tmp_path, "b.csv", "walk,1.0,0.1,0.2,0.5,0.8,,0.75\n")
    assert (none, frames[0].scores.tolist()) == ([], [0.75])


def test_json_of_detect_is_read_back(tmp_path):
    box = {"time_s": 0.3, "frame": 3, "box": [1, 2, 3, 4], "score": 0.5}
    document = {"path": "else/where/walk.mp4", "tracks": [{"id": 2, "labels": [], "boxes": [box]}]}
    lines = f"{json.dumps(document)}\n{json.dumps({'path': 'x.mp4', 'error': 'no file'})}\n"
    for name, text in (("a.json", json.dumps(document, indent=1)), ("b.json", lines)):
        _, (track,) = boxes_of(tmp_path, name, text)
        assert (track.id, track.frames.tolist(), track.boxes.tolist()) == (2, [3], [[1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "walk,1.0,0.1,0.2,0.5,0.8,,0.7\nwalk,2.0,10,20,50,80,,0.7\n", r"outside of 0 to 1.*pixels\?.*line 2"),
        ("a.csv", "walk,1.0,0.1,nan,0.5,0.8,,0.7\n", "line 1"),
        ("a.csv", "walk,902,0.1,0.2,0.5,0.8,,0.7\n", r"outside of the video \(10.0 s\).*line 1"),
        ("a.csv", "walk,1.0,0.5,0.2,0.1,0.8,,0.7\n", "left < right.*line 1"),
        ("a.csv", "run,1.0,0.1,0.2,0.5,0.8,,0.7\n", "no boxes of the video 'walk'.*run"),
        ("a.txt", "1,-1,1,2,3,4,0.5\n2,-1,1,2,nan,4,0.5\n", "line 2"),
        ("a.txt", "0,-1,1,2,3,4,0.5\n", "from 1.*line 1"),
        ("a.txt", "101,-1,1,2,3,4,0.5\n", "does not have.*line 1"),
        ("a.txt", "1,-1,a,2,3,4\n", "not a box.*line 1"),
        ("a.csv", "walk,1.0,0.1,0.2,0.5,0.8,,1\nwalk,1.0,0.6,0.2,0.9,0.8,,1\n", "two boxes in one frame.*line 2"),
        ("a.txt", "1,3,1,2,3,4,0.5\n1,3,9,2,3,4,0.5\n", "person 3 has two boxes in one frame.*line 2"),
        ("a.txt", "", "no box in this file"),
        ("a.json", '{"path": "walk.mp4"}', "no tracks"),
        ("a.json", "{", "not JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_row(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        boxes_of(tmp_path, name, text)


def test_a_missing_file_is_an_error():
    with pytest.raises(DataError, match="cannot read these boxes"):
        read_boxes("nowhere.txt")
