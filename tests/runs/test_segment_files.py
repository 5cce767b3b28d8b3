"""Files of segments."""

import json

import pytest

from kinema.errors import DataError
from kinema.runs.segment_files import read_segments

TRUTH = {
    "database": {
        "v": {"subset": "validation", "annotations": [{"segment": [1, 2.5], "label": "jump"}]},
        "w": {"subset": "testing", "annotations": []},
        "x": {"subset": "training", "annotations": [{"segment": [0, 1], "label": "run"}]},
    }
}


def write(path, text: object) -> str:
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return str(path)


def test_activitynet_truth_by_part(tmp_path):
    path = write(tmp_path / "truth.json", TRUTH)
    rows = read_segments(path, "validation")
    assert (rows.videos.tolist(), rows.labels.tolist(), rows.times_s.tolist()) == (["v"], ["jump"], [[1, 2.5]])
    assert len(read_segments(path)) == 2
    assert len(read_segments(path, "testing")) == 0
    with pytest.raises(DataError, match="there is testing, training, validation"):
        read_segments(path, "test")


def test_activitynet_answers(tmp_path):
    answers = {"results": {"v": [{"segment": [1, 2], "label": "jump", "score": 0.5}], "w": []}}
    rows = read_segments(write(tmp_path / "answers.json", answers))
    assert (rows.videos.tolist(), rows.scores.tolist()) == (["v"], [0.5])


def test_a_table_has_the_same(tmp_path):
    text = "video;label;start;end;score\nv;jump;0:01;2,5;0.25\nw;run;3;4;\n"
    rows = read_segments(write(tmp_path / "answers.csv", text))
    assert rows.times_s.tolist() == [[1, 2.5], [3, 4]]
    assert rows.scores.tolist() == [0.25, 1]
    assert read_segments(write(tmp_path / "truth.csv", "path,label,start,end\nv,jump,1,2\n")).videos.tolist() == ["v"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "cannot read these segments"),
        ("a.json", "[1]", "no segments in this file"),
        ("a.json", {"results": {"v": [{"segment": [1], "label": "a", "score": 1}]}}, "not a segment.*v, segment 1"),
        ("a.json", {"results": {"v": [{"segment": [1, 2], "score": 1}]}}, "not a segment.*v, segment 1"),
        ("a.json", {"results": {"v": "none"}}, "not a segment.*v, segment 1"),
        ("a.json", {"results": {"v": [{"segment": [2, 1], "label": "a", "score": 1}]}}, "an end after its start.*v: a"),
        ("a.json", '{"results": {"v": [{"segment": [1, 2], "label": "a", "score": NaN}]}}', "finite times and score"),
        ("a.csv", "video,label,start,end\nv,jump,1\n", "a.csv"),
        ("a.csv", "video,label,start,end\nv,jump,1,\n", "no span.*line 2"),
        ("a.csv", "video,label,start,end\nv,jump,,\n", "a start and an end.*line 2"),
        ("a.csv", "video,label,start,end\nv,,1,2\n", "a video and a label.*line 2"),
        ("a.csv", "video,label,start,end,score\nv,jump,1,2,high\n", "not a score: 'high'.*line 2"),
        ("a.csv", "video,label,start,end\nv,jump,2,1\n", "line 2"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        read_segments(write(tmp_path / name, text))


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="cannot read these segments"):
        read_segments(str(tmp_path / "none.json"))
