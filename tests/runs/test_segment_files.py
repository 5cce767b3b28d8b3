"""Files of segments."""

import json

import pytest

from kinema.errors import DataError
from kinema.evaluation.located.spotting import SpottedEvent
from kinema.runs.segment_files import read_events, read_segments

TRUTH = {
    "database": {
        "v": {"subset": "validation", "annotations": [{"segment": [1, 2.5], "label": "jump"}]},
        "w": {"subset": "testing", "annotations": []},
        "x": {"subset": "training", "annotations": [{"segment": [0, 1], "label": "run"}]},
    }
}


def write(path, text: str | bytes | dict) -> str:
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(text) if isinstance(text, dict) else text
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_activitynet_truth_by_part(tmp_path):
    path = write(tmp_path / "truth.json", TRUTH)
    rows = read_segments(path, "validation").table
    assert (rows.videos.tolist(), rows.labels.tolist(), rows.times_s.tolist()) == (["v"], ["jump"], [[1, 2.5]])
    assert len(read_segments(path).table) == 2
    assert len(read_segments(path, "testing").table) == 0
    with pytest.raises(DataError, match="there is testing, training, validation"):
        read_segments(path, "test")


def test_activitynet_answers(tmp_path):
    answers = {"results": {"v": [{"segment": [1, 2], "label": "jump", "score": 0.5}], "w": []}}
    rows = read_segments(write(tmp_path / "answers.json", answers)).table
    assert (rows.videos.tolist(), rows.scores.tolist()) == (["v"], [0.5])


def test_a_table_has_the_same(tmp_path):
    text = "video;label;start;end;score\nv;jump;0:01;2,5;0.25\nw;run;3;4;\n"
    rows = read_segments(write(tmp_path / "answers.csv", text)).table
    assert rows.times_s.tolist() == [[1, 2.5], [3, 4]]
    assert rows.scores.tolist() == [0.25, 1]
    other = read_segments(write(tmp_path / "truth.csv", "path,label,start,end\nv,jump,1,2\n"))
    assert (other.table.videos.tolist(), other.where) == (["v"], [f"{tmp_path / 'truth.csv'}, line 2"])


def test_a_label_a_frame(tmp_path):
    write(tmp_path / "frames" / "v.txt", "run\nrun\n\njump up\nrun\n")
    write(tmp_path / "frames" / "w.txt", "### Frame level recognition: ###\nrun run walk\n")
    found = read_segments(str(tmp_path / "frames"))
    assert found.durations_s == {"v": 4, "w": 3}
    assert found.table.labels.tolist() == ["run", "jump up", "run", "run", "walk"]
    assert found.table.times_s.tolist() == [[0, 2], [2, 3], [3, 4], [0, 2], [2, 3]]


def test_events_of_soccernet_and_of_tables(tmp_path):
    game = {"annotations": [{"gameTime": "2 - 01:12", "label": "foul", "position": "72500", "visibility": "not shown"}]}
    events = read_events(write(tmp_path / "truth.json", {"g": game}))
    assert events == {"g, half 2": [SpottedEvent(72.5, "foul", 1.0, visible=False)]}
    answers = {
        "UrlLocal": "g/",
        "predictions": [{"half": "2", "label": "foul", "position": "72500", "confidence": 0.5}],
    }
    assert read_events(write(tmp_path / "answers.json", answers)) == {"g, half 2": [SpottedEvent(72.5, "foul", 0.5)]}
    text = "video,time,label,score,visibility\nv,0,a,0.5,not shown\nv,1:30,b,,\n"
    events = read_events(write(tmp_path / "events.csv", text))
    assert events == {"v": [SpottedEvent(0, "a", 0.5, visible=False), SpottedEvent(90, "b")]}
    segments = write(tmp_path / "segments.json", {"results": {"v": [{"segment": [2, 4], "label": "a", "score": 0.5}]}})
    assert read_events(segments) == {"v": [SpottedEvent(3, "a", 0.5)]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "broken JSON.*a.json, line 1"),
        ("a.json", '{\n"results": {},,', "broken JSON.*line 2, column 15"),
        ("a.json", '{"results": {"v": [], "v": []}}', "'v' stands twice.*a.json"),
        ("a.json", b"\xff\xfe", "cannot read this file.*a.json"),
        ("a.json", {"results": {"v": [{"segment": [1, 2], "label": None}]}}, "not a segment.*v, segment 1"),
        ("a.json", {"results": {"v": [{"segment": [1, 1], "label": "a"}]}}, "no length .a from 1 to 1.*v, segment 1"),
        ("a.json", '{"results": {"v": [{"segment": [1, Infinity], "label": "a"}]}}', "finite times.*v, segment 1"),
        (
            "a.json",
            {"database": {"v": {"duration": 9, "annotations": [{"segment": [9, 12], "label": "a"}]}}},
            "outside its video of 9 s .a from 9 to 12 s.*v, segment 1",
        ),
        ("a.json", "[1]", "no segments in this file"),
        ("a.json", {"results": {"v": [{"segment": [1], "label": "a", "score": 1}]}}, "not a segment.*v, segment 1"),
        ("a.json", {"results": {"v": [{"segment": [1, 2], "score": 1}]}}, "not a segment.*v, segment 1"),
        ("a.json", {"results": {"v": "none"}}, "not a segment.*v, segment 1"),
        (
            "a.json",
            {"results": {"v": [{"segment": [2, 1], "label": "a", "score": 1}]}},
            "its end before its start .a from 2 to 1 s.*v, segment 1",
        ),
        (
            "a.json",
            '{"results": {"v": [{"segment": [1, 2], "label": "a", "score": NaN}]}}',
            "finite times and score .*nan.*v, segment 1",
        ),
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


def test_a_video_may_be_a_little_longer_than_its_file_says(tmp_path):
    truth = {"database": {"v": {"duration": 9.0, "annotations": [{"segment": [8, 9.5], "label": "a"}]}}}
    found = read_segments(write(tmp_path / "truth.json", truth))
    assert (len(found.table), found.durations_s) == (1, {"v": 9.0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"annotations": [{"label": "a", "position": "1"}]}, "not an event.*game, event 1"),
        ({"annotations": [{"label": "a", "position": "NaN", "half": 1}]}, "finite time and score.*event 1"),
        ({"g": 1}, "no segments"),
        ({"results": {"v": [{"segment": [2, 2], "label": "a"}]}}, "no length.*v, segment 1"),
    ],
)  # fmt: skip
def test_wrong_events(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_events(write(tmp_path / "a.json", text))
    with pytest.raises(DataError, match=r"no span.*line 2"):
        read_events(write(tmp_path / "a.csv", "video,time,label\nv,soon,a\n"))


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="cannot read this file"):
        read_segments(str(tmp_path / "none.json"))
