"""Names of numbered classes, from a file beside a list."""

from __future__ import annotations

import json

import pytest

from kinema.datasets.class_names import match_names, may_be_names, names_file, read_names
from kinema.errors import DataError


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("classes.txt", "run\nhigh jump\n", {0: "run", 1: "high jump"}),
        ("classInd.txt", "1 Run\n2 HighJump\n", {1: "Run", 2: "HighJump"}),
        ("labels.txt", "0: run\n1: jump\n", {0: "run", 1: "jump"}),
        ("label_map.txt", "run 0\nhigh jump 1\n", {0: "run", 1: "high jump"}),
        ("classes.txt", "formula 1\nleague 5\n", {0: "formula 1", 1: "league 5"}),
        ("classids.json", json.dumps({'"high jump"': 1, "run": 0}), {0: "run", 1: "high jump"}),
        ("class_names.json", json.dumps({"0": "run", "1": "jump"}), {0: "run", 1: "jump"}),
        ("labels.json", json.dumps(["run", "jump"]), {0: "run", 1: "jump"}),
    ],
)
def test_files_of_names(tmp_path, name, text, names):
    (tmp_path / name).write_text(text)
    assert read_names(str(tmp_path / name)) == names
    assert names_file(str(tmp_path / "list.txt")) == str(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("label_map_k400.txt", True),
        ("kinetics_classnames.json", True),
        ("class-names.txt", True),
        ("train_labels.txt", False),
        ("notes.txt", False),
        ("classes.csv", False),
    ],
)
def test_names_of_such_files(name, expected):
    assert may_be_names(name) == expected


@pytest.mark.parametrize("text", ["", "{", '{"run": "x"}', "3"])
def test_json_without_names_is_an_error(tmp_path, text):
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(DataError, match="class names"):
        read_names(str(tmp_path / "classes.json"))


def test_numbers_from_0_fit_names_from_1():
    from_one = {1: "run", 2: "jump"}
    assert match_names({"a/1.mp4": (0,), "b/2.mp4": (1,)}, from_one, "f") == {0: "run", 1: "jump"}
    assert match_names({"a/1.mp4": (1,), "b/2.mp4": (2,)}, from_one, "f") == {1: "run", 2: "jump"}
    assert match_names({"a/1.mp4": (1,), "b/2.mp4": (2,)}, {0: "run", 1: "jump"}, "f") == {1: "run", 2: "jump"}


def test_folders_decide_how_numbers_are_counted():
    from_one = {1: "Run", 2: "High Jump", 3: "Swim"}
    assert match_names({"v/high_jump/1.mp4": (1,)}, from_one, "f") == {1: "High Jump"}
    assert match_names({"v/run/1.mp4": (1,)}, from_one, "f") == {1: "Run"}
    with pytest.raises(
        DataError, match="class 3 is 'Swim', but a video of it lies in a folder 'run': f: give the right"
    ):
        match_names({"v/run/1.mp4": (3,)}, from_one, "f")


def test_a_number_without_a_name_is_an_error():
    with pytest.raises(DataError, match="no name for class number 7: f: it names numbers 0 to 1"):
        match_names({"a.mp4": (7,), "b.mp4": (0,)}, {0: "run", 1: "jump"}, "f")
