"""Actions of annotation files: doubled ones, almost equal times, and videos at another place."""

from __future__ import annotations

import pytest

from kinema.datasets.action_list import ActionList, find_media
from kinema.datasets.format import ListOptions
from kinema.errors import DataError


def test_a_video_without_actions_stays():
    actions = ActionList("list", ListOptions())
    for path in ("a.mp4", "b.mp4", "a.mp4"):
        actions.add_video(path, "train", "g")
    actions.add("a.mp4", "run", "1", 2, "row 1")
    examples = actions.data_set("name").examples
    assert [(e.path, e.labels, e.split, e.group) for e in examples] == [
        ("a.mp4", ("run",), "train", "g"), ("b.mp4", (), "train", "g"),
    ]  # fmt: skip


def test_times_that_differ_by_rounding_are_one_span():
    faults: list[DataError] = []
    actions = ActionList("list", ListOptions(faults=faults))
    actions.add_video("a.mp4")
    for end_s, label in ((71.64603384000001, "run"), (71.64603384, "run"), (71.646033839, "jump")):
        actions.add("a.mp4", label, 31.8, end_s, "row")
    assert [e.labels for e in actions.data_set("name").examples] == [("run", "jump")]
    assert [fault.what for fault in faults] == ["'run' stands twice with the same times"]


@pytest.mark.parametrize("name", ["a.mp4", "./a.mp4", "C:\\films\\a.mp4", "/nowhere/a.mp4", "../x/a.mp4"])
def test_a_video_is_found_where_it_is_said_to_be_or_beside_the_annotations(touch, name):
    root = str(touch("a.mp4"))
    assert find_media(["", name], root) == f"{root}/a.mp4"
    assert find_media(["b.mp4"], root) is None
