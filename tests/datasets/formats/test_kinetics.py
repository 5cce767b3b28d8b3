from __future__ import annotations

import logging
from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError
from kinema.types import TimeSpan


@pytest.fixture
def kinetics(touch) -> Path:
    root = touch("train/abseiling/-a_Bc_000010_000020.mp4", "val/xyz.mp4")
    (root / "train.csv").write_text(
        "label,youtube_id,time_start,time_end,split\n"
        "abseiling,-a_Bc,10,20,train\nair drumming,gone,5,15,train\nair drumming,xyz,100,110,train\n"
    )
    (root / "validate.csv").write_text(
        'label,youtube_id,time_start,time_end,split\nabseiling,away,0,10,validate\n"air drumming",xyz,7,17,validate\n'
    )
    return root


def test_kinetics_finds_cut_and_whole_files_and_leaves_out_those_that_are_gone(kinetics, caplog):
    data = open_data(kinetics)
    assert [(Path(e.path).name, e.label, e.span, e.split, e.group) for e in data.examples] == [
        ("-a_Bc_000010_000020.mp4", "abseiling", None, "train", "-a_Bc"),
        ("xyz.mp4", "air drumming", TimeSpan(100, 110), "train", "xyz"),
        ("xyz.mp4", "air drumming", TimeSpan(7, 17), "valid", "xyz"),
    ]
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "left out 2 of 5" in warnings[0]


def test_a_single_kinetics_list_is_enough(kinetics):
    assert len(open_data(kinetics / "train.csv")) == 2


def test_kinetics_without_any_video_is_an_error(kinetics):
    for path in kinetics.rglob("*.mp4"):
        path.unlink()
    with pytest.raises(DataError, match="none of the 5 listed videos"):
        open_data(kinetics)


def test_kinetics_names_the_line_of_a_wrong_row(kinetics):
    (kinetics / "train.csv").write_text('label,youtube_id,note\n\nrun,xyz,"two\nlines"\n,xyz,\n')
    with pytest.raises(DataError, match=r"train\.csv, line 5: fill"):
        open_data(kinetics / "train.csv")
