"""Files of boxes, tubes and tracks."""

import json

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.runs.box_files import read_boxes, read_excluded, read_label_map, read_tracks, read_tubes


def write(path, text) -> str:
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return str(path)


def test_ava_truth_and_answers(tmp_path):
    text = "video,timestamp,x1,y1,x2,y2,label\nf,0902\nf,0903,0.1,0.2,0.5,1.0,3,7\nf,903.5,0,0,1.02,1,5,\n"
    truth = read_boxes(write(tmp_path / "t.csv", text), {"3": "run"}, scored=False)
    assert truth.key_frames == {"f": {902, 903, 903.5}}
    assert (truth.table.labels.tolist(), truth.table.scores.tolist()) == (["run", "5"], [1, 1])
    assert truth.table.frames.tolist() == ["f, 903 s", "f, 903.5 s"]
    assert truth.where[0].endswith("t.csv, line 3")
    answers = read_boxes(write(tmp_path / "a.csv", "f,903,0.1,0.2,0.5,1.0,run,0.25\n"))
    assert answers.table.scores.tolist() == [0.25]
    assert read_excluded(write(tmp_path / "e.csv", "f,0903\n")) == {"f, 903 s"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("f,902,10,20,120,220,run,0.5", "outside 0 to 1: 10, 20, 120, 220.*line 2: divide pixels"),
        ("f,902,0.5,0.2,0.5,1,run,0.5", "left < right.*line 2"),
        ("f,902,0.1,0.2,0.5,1,run", "an answer needs a score.*line 2"),
        ("f,902,0.1,0.2,0.5,1,run,nan", "not a score: 'nan'.*line 2"),
        ("f,902,0.1,wide,0.5,1,run,1", "not a coordinate: 'wide'.*line 2"),
        ("f,soon,0.1,0.2,0.5,1,run,1", "not a time stamp: 'soon'.*line 2"),
        ("f", "not a time stamp.*line 2"),
    ],
)  # fmt: skip
def test_wrong_rows_are_named(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read_boxes(write(tmp_path / "a.csv", f"f,901,0,0,1,1,run,1\n{row}\n"))


def test_names_of_labels_by_number(tmp_path):
    blocks = 'label {\n  name: "bend/bow"\n  label_id: 1\n}\nitem { id: 3 name: "run" }\n'
    assert read_label_map(write(tmp_path / "a.pbtxt", blocks)) == {"1": "bend/bow", "3": "run"}
    assert read_label_map(write(tmp_path / "a.csv", "id,name\n1,bend\n3,run\n")) == {"1": "bend", "3": "run"}
    assert read_label_map(write(tmp_path / "a.txt", "bend\nrun\n")) == {"1": "bend", "2": "run"}
    with pytest.raises(DataError, match="no labels"):
        read_label_map(write(tmp_path / "b.pbtxt", "nothing"))


BOXES = [[10, 10, 30, 50], [12, 10, 32, 50], [14, 10, 34, 50]]
TUBE = {"start_frame": 5, "boxes_xyxy": BOXES}
SIZED = {"start_frame": 5, "boxes_xywh": [[10, 10, 20, 40], [12, 10, 20, 40], [14, 10, 20, 40]]}
SEEN = [
    {"time_s": at / 10, "frame": at, "box": box, "score": 1}
    for at, box in ((5, BOXES[0]), (7, BOXES[2]), (20, BOXES[0]))
]
TRACKS = {"path": "films/v.mp4", "tracks": [{"id": 1, "boxes": SEEN, "labels": [
    {"start_s": 0, "end_s": 1, "label": "run", "score": 0.5}]}]}  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        [{"video": "v", "label": "run", "score": 0.5, **TUBE}],
        {"v": {"run": [{"score": 0.5, **TUBE}]}},
        {"v": [{"label": "run", "score": 0.5, **SIZED}]},
        {"v": {"label": "run", "boxes_are_in": [320, 240], "tubes": [{"score": 0.5, **SIZED}]}},
        {"truth": {}, "predictions": [{"video": "v", "label": "run", "score": 0.5, **TUBE}]},
        TRACKS,
        "\n".join([json.dumps(TRACKS), json.dumps({"path": "w.mp4", "tracks": []})]),
    ],
)
def test_tubes_in_json(tmp_path, content):
    (tube,) = read_tubes(write(tmp_path / "a.json", content), "predictions")
    assert (tube.video, tube.label, tube.first_frame, tube.score) == ("v", "run", 5, 0.5)
    assert tube.boxes.tolist() == BOXES


def test_tubes_in_a_table(tmp_path):
    rows = "".join(f"v,{at},1,{left},10,{left + 20},50,run,0.5\n" for at, left in ((7, 14), (5, 10)))
    text = f"video,frame,track,left,top,right,bottom,label,score\n{rows}"
    (tube,) = read_tubes(write(tmp_path / "a.csv", text), "truth")
    assert (tube.first_frame, tube.boxes.tolist(), tube.score) == (5, BOXES, 0.5)
    with pytest.raises(DataError, match="two boxes of track 1 in a frame"):
        read_tubes(write(tmp_path / "b.csv", text + rows), "truth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "broken JSON.*line 1"),
        ([{"video": "v", "label": "run", "boxes_xyxy": BOXES}], "not a tube.*a.json, tube 1"),
        ([{"label": "run", **TUBE}], "needs a video.*tube 1"),
        ([{"video": "v", "label": "run", "score": float("nan"), **TUBE}], "finite score.*tube 1"),
        ({"v": {"run": [{"start_frame": 5, "boxes_xyxy": [[30, 0, 10, 9]]}]}}, "left, top.*: v: run, tube 1, frame 5"),
        (
            [{"video": "v", "label": "a", "start_frame": 0, "boxes": [[0.1, 0.1, 0.5, 0.5]]}],
            "inside 0 to 1.*give pixels",
        ),
        ([1], "not a tube.*tube 1"),
        ({"path": "v.mp4", "tracks": [{"boxes": []}]}, "not a track.*v, track 1"),
    ],
)
def test_wrong_tubes_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_tubes(write(tmp_path / "a.json", content), "truth")


def test_tracks_of_motchallenge(tmp_path):
    path = write(tmp_path / "gt.txt", "1,7,10,20,30,40,1,-1,-1\n1,8,0,0,5,5,0,-1,-1\n2,7,11,20,30,40\n")
    frames, ignored = read_tracks(path, truth=True)
    assert (sorted(frames), ignored) == ([1, 2], 1)
    assert frames[1].ids.tolist() == [7]
    assert np.array_equal(frames[1].boxes, [[10, 20, 40, 60]])
    assert len(read_tracks(path)[0][1].ids) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [("1,7,0,0,5", "a row of 5 cells.*line 2"), ("1,7,0,0,0,5", "without a size.*line 2"),
     ("1,1,0,0,5,5", "identity 1 stands twice in frame 1.*line 2"), ("1,7,0,x,5,5", "not a number: 'x'.*line 2")],
)  # fmt: skip
def test_wrong_rows_of_tracks(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read_tracks(write(tmp_path / "a.txt", f"1,1,0,0,5,5\n{row}\n"))
