import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinema.console.track_printer import TrackFiles, TrackPrinter, document, file_names
from kinema.errors import VideoError
from kinema.predictions import Failure, Segment
from kinema.tracks import Track, VideoTracks
from kinema.types import TimeSpan, VideoInfo


@pytest.fixture
def video() -> VideoTracks:
    """A person who is away from 1 to 3 s."""
    times_s = np.array([0.5, 1.0, 3.0, 3.5])
    track = Track(1, times_s, (times_s * 10).astype(int), np.array([[0, 0, 9, 9]] * 4, float), np.full(4, 0.8),
                  (Segment(TimeSpan(0.5, 1.5), "walk", 0.9),))  # fmt: skip
    return VideoTracks(VideoInfo("a.mp4", 40, 10.0, 4.0, 50, 50), (track,), 40, "hand", 0.5, 0.8, ("walk",))


def test_statistics_say_how_long_and_how_often(video):
    (person,) = document(video, stats=True)["statistics"]
    assert {name: person[name] for name in ("first_s", "last_s", "seen_s", "times", "longest_gap_s")} == {
        "first_s": 0.5, "last_s": 3.5, "seen_s": 1.0, "times": 2, "longest_gap_s": 2.0,
    }  # fmt: skip
    assert person["labels"][0]["total_s"] == 1.0


def test_the_table_of_one_video_has_a_row_for_each_person(video, capsys):
    TrackPrinter("table", single=True, to_files=False, stats=True)(video)
    out = capsys.readouterr().out
    assert "a.mp4  4.0 s  1 person" in out
    assert "walk 1.0 s" in out
    assert "0:00.5" in out


def test_several_videos_have_a_line_each_and_json_has_failures(video, capsys):
    printer = TrackPrinter("table", single=False, to_files=False, stats=False)
    printer(video)
    printer(replace(video, tracks=()))
    assert capsys.readouterr().out.splitlines() == ["a.mp4  1 person", "a.mp4  nobody found"]
    TrackPrinter("json", single=False, to_files=False, stats=False)(Failure("b.mp4", VideoError("no video", "b.mp4")))
    assert json.loads(capsys.readouterr().out) == {"path": "b.mp4", "error": "no video: b.mp4"}


def test_files_have_the_ending_of_their_format_and_a_report(video, tmp_path):
    names = {"a.mp4": Path("sub/a")}
    assert file_names("ava", names) == ["sub/a.csv", "labels.pbtxt"]
    files = TrackFiles(str(tmp_path), "ava", names, stats=False)
    files.write(video)
    files.write(Failure("b.mp4", VideoError("no video", "b.mp4")))
    report = files.report("hand").read_text(encoding="utf-8")
    assert "no video" in report
    assert (tmp_path / "sub/a.csv").read_text().count("\n") == 4
    assert "walk" in (tmp_path / "labels.pbtxt").read_text()
