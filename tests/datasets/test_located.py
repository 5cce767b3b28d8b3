"""Actions video by video: from rows, with background videos, overlaps and wrong data."""

from __future__ import annotations

import pytest

from kinema.datasets import open_data, split_data
from kinema.datasets.located import located_set, open_located
from kinema.datasets.temporal_labels import temporal_labels, with_background
from kinema.errors import DataError, UnknownClass
from kinema.labels import IGNORED
from kinema.runs.tasks.clip import TASK as CLIP_TASK

ROWS = "path,label,start,end\na.mp4,run,3,4\na.mp4,jump,1,3.5\nb.mp4,run;jump,0,2\nc.mp4,,,\n"


def test_each_video_has_its_actions_and_may_have_none(manifest):
    located = open_located(manifest(ROWS))
    found = [[(s.span.start_s, s.span.end_s, s.label) for s in video.segments] for video in located.videos]
    assert found == [[(1, 3.5, "jump"), (3, 4, "run")], [(0, 2, "jump"), (0, 2, "run")], []]
    assert (len(located), list(located.labels), located.counts()) == (3, ["jump", "run"], {"jump": 2, "run": 2})


def test_background_classes_are_no_actions_but_their_videos_stay(manifest):
    data = open_data(manifest(ROWS))
    located = located_set(data, background=["jump"])
    assert [[s.label for s in video.segments] for video in located.videos] == [["run"], ["run"], []]
    assert list(located.labels) == ["run"]
    with pytest.raises(UnknownClass):
        located_set(data, background=["jumps"])
    with pytest.raises(DataError, match="no class is left"):
        located_set(data, background=["jump", "run"])


def test_a_row_without_times_is_the_whole_video(listed, counting_video):
    (video,) = located_set(listed(("a", "", ""), ("b", 1, 2))).videos
    assert [(s.label, s.span.start_s, round(s.span.end_s, 3)) for s in video.segments] == [("a", 0, 4.8), ("b", 1, 2)]


def test_parts_and_groups_are_those_of_the_rows(manifest):
    text = "path,label,start,end,split,group\na.mp4,run,0,1,train,x\na.mp4,jump,0,2,train,y\nb.mp4,jump,0,1,valid,\n"
    located = open_located(manifest(text))
    assert [(video.part, video.group) for video in located.videos] == [("train", "x+y"), ("valid", None)]
    assert (located.parts, len(located.part("val"))) == (("train", "valid"), 1)
    with pytest.raises(DataError, match="no test part"):
        located.part("test")
    with pytest.raises(DataError, match=r"1 videos are in two parts: .*a\.mp4"):
        open_located(manifest(text.replace("b.mp4,jump,0,1", "a.mp4,jump,5,6")))


def test_a_single_class_is_enough_where_actions_have_times_but_not_for_clips(manifest):
    data = open_data(manifest("path,label,start,end\na.mp4,run,3,4\nb.mp4,run,0,1\n"))
    assert list(located_set(data).labels) == ["run"]
    with pytest.raises(DataError, match="one class only"):
        CLIP_TASK.prepare(data, None)
    with pytest.raises(DataError, match=r"1 examples have no label: .*c\.mp4: learn where actions are"):
        CLIP_TASK.prepare(open_data(manifest(ROWS)), None)


def test_a_video_without_actions_needs_times_elsewhere(manifest):
    with pytest.raises(DataError, match="line 3: fill it in or remove"):
        open_data(manifest("path,label\na.mp4,run\nb.mp4,\n"))
    with pytest.raises(DataError, match="line 3: fill it in or remove"):
        open_data(manifest("path,label,start,end\na.mp4,run,1,2\nb.mp4,,1,2\n"))
    with pytest.raises(DataError, match="no example has a label"):
        make = "path,label,start,end\na.mp4,,,\nb.mp4,,,\n"
        open_data(manifest(make.replace("a.mp4,,,", "a.mp4,,1,2")), faults=[])


def test_frames_of_such_a_video_are_background(manifest):
    data = with_background(open_data(manifest("path,label,start,end\na.mp4,run,0,1\na.mp4,jump,2,3\nc.mp4,,,\n")))
    labels = temporal_labels(data)
    assert labels[data.examples[2].path].elsewhere == data.labels.index("background")
    assert temporal_labels(data, "")[data.examples[2].path].elsewhere == IGNORED


def test_both_parts_get_their_share_of_videos_without_actions(touch):
    names = [f"{number}.mp4" for number in range(40)]
    rows = "".join(f"{name},{'run' if i < 20 else ''},{'1,2' if i < 20 else ','}\n" for i, name in enumerate(names))
    path = touch(*names) / "all.csv"
    path.write_text("path,label,start,end\n" + rows)
    for by in ("random", "blocks"):
        valid = split_data(open_data(path), by=by, valid_fraction=0.25).part("valid").examples
        assert sorted(len(example.labels) for example in valid) == [0] * 5 + [1] * 5


def test_rows_that_cannot_be_used_are_collected(manifest):
    faults: list[DataError] = []
    text = "path,label,start,end,split\na.mp4,run,1,2,train\na.mp4,run,3,3,train\nb.mp4,jump,1,nix,train\n"
    data = open_data(manifest(text + "x.mp4,jump,0,1,train\nc.mp4,jump,0,1,train\n"), faults=faults)
    assert [str(fault).partition(": ")[0] for fault in faults] == [
        "no span", "no span", "1 of 3 listed files do not exist",
    ]  # fmt: skip
    assert len(data) == 2
