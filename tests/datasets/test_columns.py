"""Columns of a manifest under other names: read rightly, or an error; never ignored if they may be ours."""

from __future__ import annotations

import logging

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError
from kinema.types import TimeSpan


def _two_rows(manifest, head: str, first: str, second: str):
    return open_data(manifest(f"{head}\n{first}\n{second}\n"))


@pytest.mark.parametrize(
    "name",
    [
        "partition",
        "Partition",
        "subset",
        "set",
        "SPLIT",
        "splits",
        "data-split",
        "dataSplit",
        "fold",
        "phase",
    ],
)
def test_other_names_of_split_are_read(manifest, name):
    data = _two_rows(manifest, f"path,label,{name}", "a.mp4,run,train", "b.mp4,run,test\nc.mp4,jump,Training")
    assert [example.split for example in data.examples] == ["train", "test", "train"]


@pytest.mark.parametrize(
    "name", ["spilt", "splt", "is_test", "train", "for training", "test?", "ttsplit", "traintestsplit_v2"]
)
def test_names_near_split_are_errors(manifest, name):
    with pytest.raises(DataError, match=r"may be meant as 'split': .*list\.csv: rename it to split"):
        _two_rows(manifest, f"path,label,{name}", "a.mp4,run,1", "b.mp4,jump,0")


def test_a_column_of_parts_is_an_error_whatever_its_name(manifest):
    with pytest.raises(DataError, match="column 'xyz' may be meant as 'split'"):
        _two_rows(manifest, "path,label,xyz", "a.mp4,run,train", "b.mp4,jump,Val")


def test_numbers_of_folds_are_no_parts(manifest):
    with pytest.raises(DataError, match=r"no part called '1': .*line 2: write train"):
        _two_rows(manifest, "path,label,fold", "a.mp4,run,1", "b.mp4,jump,2")
    path = manifest("path,label,fold\na.mp4,run,1\nb.mp4,jump,2\n")
    assert [example.group for example in open_data(path, group_by=("fold",)).examples] == ["1", "2"]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("start_sec", "end_sec"),
        ("Start (s)", "End (s)"),
        ("startTime", "endTime"),
        ("start-time", "stop-time"),
        ("t_start", "t_end"),
        ("begin", "finish"),
        ("from", "to"),
        ("clip start seconds", "clip end seconds"),
        ("starttime", "endtime"),
        ("time_start", "time_end"),
    ],
)
def test_other_names_of_start_and_end_are_read(manifest, start, end):
    data = _two_rows(manifest, f"path,label,{start},{end}", "a.mp4,run,0.5,2", "b.mp4,jump,,")
    assert [example.span for example in data.examples] == [TimeSpan(0.5, 2), None]


@pytest.mark.parametrize(
    "name",
    [
        "start_frame",
        "startframe",
        "frame_start",
        "StartFrame",
        "start_ms",
        "strat",
        "begin_idx",
        "end_frame",
        "stop_ms",
    ],
)
def test_times_that_are_no_seconds_are_errors(manifest, name):
    with pytest.raises(DataError, match=f"column '{name}' may be meant as '(start|end)'.*seconds"):
        _two_rows(manifest, f"path,label,{name}", "a.mp4,run,10", "b.mp4,jump,20")


def test_frame_numbers_beside_seconds_are_only_reported(manifest, caplog):
    caplog.set_level(logging.INFO, "kinema")
    data = _two_rows(
        manifest, "path,label,start,end,start_frame,end_frame,fps", "a.mp4,run,0,1,0,25,25", "b.mp4,jump,0,1,0,25,25"
    )
    assert data.examples[0].span == TimeSpan(0, 1)
    assert "columns not used: start_frame, end_frame, fps" in caplog.text


def test_columns_of_no_meaning_are_reported_once_and_row_numbers_are_not(manifest, caplog):
    caplog.set_level(logging.INFO, "kinema")
    open_data(manifest(",path,label,camera,place\n0,a.mp4,run,1,x\n1,b.mp4,jump,2,y\n"), group_by=("camera",))
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == ["columns not used: place"]


def test_two_columns_of_one_name_are_an_error(manifest):
    with pytest.raises(DataError, match="two columns are called 'label'"):
        _two_rows(manifest, "path,label,label", "a.mp4,run,x", "b.mp4,jump,y")
    with pytest.raises(DataError, match="two columns are called 'label'"):
        _two_rows(manifest, "path,label,Label", "a.mp4,run,x", "b.mp4,jump,y")


def test_several_columns_of_one_meaning(manifest):
    with pytest.raises(DataError, match="2 columns may be the label: class, action: "):
        _two_rows(manifest, "path,class,action", "a.mp4,run,x", "b.mp4,jump,y")
    assert _two_rows(manifest, "path,class,action", "a.mp4,run,run", "b.mp4,jump,jump").counts() == {
        "jump": 1,
        "run": 1,
    }
    assert list(_two_rows(manifest, "path,label,class", "a.mp4,run,0", "b.mp4,jump,1").labels) == ["jump", "run"]


@pytest.mark.parametrize("head", ["path,label,label_2", "path,label_1,label_2", "path,label,label2"])
def test_labels_in_numbered_columns_are_an_error(manifest, head):
    with pytest.raises(DataError, match=r"labels in numbered columns: .*run;jump"):
        _two_rows(manifest, head, "a.mp4,run,x", "b.mp4,jump,y")


@pytest.mark.parametrize(
    "head", ["Video Path,Class Name", "fileName,Action", "video,choice", "clip_name,activity_label", "FILES,CATEGORIES"]
)
def test_other_names_of_path_and_label_are_read(manifest, head):
    assert _two_rows(manifest, head, "a.mp4,run", "b.mp4,jump").counts() == {"jump": 1, "run": 1}
