from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kinema
from kinema.datasets import open_data
from kinema.datasets.opening import detect_format
from kinema.errors import DataError, UnknownName, UsageError


def test_a_missing_folder_suggests_its_neighbour(touch):
    root = touch("hockey/a/1.mp4")
    with pytest.raises(DataError, match=r"Did you mean .*hockey"):
        open_data(root / "hokey")


def test_an_unknown_format_says_the_nearest(touch):
    with pytest.raises(UnknownName, match="kinetics"):
        open_data(touch("a/1.mp4"), format="kinetiks")


def test_a_file_that_is_no_table_says_what_is_wanted(touch):
    with pytest.raises(DataError, match="manifest"):
        open_data(touch("readme.md") / "readme.md")


def test_grouping_without_a_manifest_is_refused(touch):
    with pytest.raises(UsageError, match="manifest"):
        open_data(touch("a/1.mp4", "b/2.mp4"), group_by=("camera",))


KINETICS_LIST = "label,youtube_id,time_start,time_end,split\nrun,a,0,1,train\n"
SPORTS1M_LIST = "https://www.youtube.com/watch?v=a 0\n"


def test_formats_are_detected_in_a_fixed_order(touch):
    """Every folder holds the files of all formats that come later; each step removes the first of them."""
    root = touch("a/x.jpg", "b/deep/y.jpg", "train/z.jpg")
    texts = {
        "manifest.csv": "path,label\n",
        "trainlist01.txt": "",
        "classInd.txt": "1 a\n",
        "a_test_split1.txt": "",
        "k400_train.csv": KINETICS_LIST,
        "labels.txt": "a\nb\n",
        "train.txt": SPORTS1M_LIST,
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    found = []
    for remove in ("manifest.csv", "classInd.txt", "a_test_split1.txt", "k400_train.csv", "train.txt", "b/deep/y.jpg"):
        found.append(detect_format(str(root)).list_data.__name__)
        (root / remove).unlink()
    # an image in a folder below a class folder is a video frame by frame, so only the last folder is one of stills
    assert found == ["list_manifest", "list_ucf101", "list_hmdb51", "list_kinetics", "list_sports1m", "list_folder"]
    assert detect_format(str(root)).list_data.__name__ == "list_stills"


def test_a_kinetics_list_is_no_manifest_although_both_are_tables(touch):
    root = touch()
    (root / "train.csv").write_text(KINETICS_LIST)
    (root / "other.csv").write_text("path,label\n")
    (root / "list.txt").write_text(SPORTS1M_LIST)
    (root / "labels.txt").write_text("run\n")
    found = [detect_format(str(root / name)).list_data.__name__ for name in ("train.csv", "other.csv", "list.txt")]
    assert found == ["list_kinetics", "list_manifest", "list_sports1m"]


NEW_FORMAT = '''
"""Pairs of a path and a label in pairs.txt."""

import os

from kinema.datasets.dataset import make_data_set
from kinema.datasets.format import Format
from kinema.datasets.lists import read_lines
from kinema.types import Example


def list_pairs(path, options):
    rows = [line.split() for line in read_lines(os.path.join(path, "pairs.txt"))]
    examples = [Example(os.path.join(path, name), (label,)) for name, label in rows]
    return make_data_set("Pairs", path, examples, options.labels)


FORMAT = Format(list_data=list_pairs, detect=lambda path: os.path.isfile(os.path.join(path, "pairs.txt")))
'''


def test_one_file_adds_a_format_to_the_command_line(tmp_path, short_video):
    package, data = tmp_path / "src" / "kinema", tmp_path / "data"
    shutil.copytree(Path(kinema.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "datasets" / "formats" / "pairs.py").write_text(NEW_FORMAT)
    data.mkdir()
    for name in ("x.mp4", "y.mp4"):
        shutil.copy(short_video, data / name)
    (data / "pairs.txt").write_text("x.mp4 run\ny.mp4 jump\n")

    def check(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kinema", "check", str(data), *arguments]
        environment = os.environ | {"PYTHONPATH": str(package.parent)}
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    for way in (["--format", "pairs"], []):
        found = json.loads(check(*way, "--json").stdout)
        assert (found["name"], found["classes"]) == ("Pairs", {"jump": 1, "run": 1})
    assert "pairs" in check("--help").stdout
    wrong = check("--format", "pears")
    assert wrong.returncode == 2
    assert "pairs" in wrong.stderr


def test_a_pipe_is_no_data_set_and_is_not_waited_for(tmp_path):
    for name in ("list.csv", "list.txt", "list"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(DataError, match="a pipe, not a file"):
            open_data(tmp_path / name)


def test_a_rate_of_pictures_must_be_positive(touch):
    root = touch("a/1.mp4", "b/2.mp4")
    assert open_data(root, image_fps=12).image_fps == 12
    with pytest.raises(UsageError, match="--image-fps must"):
        open_data(root, image_fps=0)
