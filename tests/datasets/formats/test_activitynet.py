"""ActivityNet's JSON: videos by their names, parts, doubled and wrong actions."""

from __future__ import annotations

import json

import pytest

from kinema.datasets import open_data
from kinema.datasets.located import located_set, open_located
from kinema.errors import DataError

GOOD = {
    "a1": {"subset": "training", "annotations": [{"segment": [1, 2.5], "label": "jump"}]},
    "b2": {"subset": "Validation", "annotations": [{"segment": ["0.5", "2"], "label": "jump"}]},
    "c3": {"subset": "train", "annotations": []},
}


@pytest.fixture
def write(touch):
    def make(database, name="labels/anet.json", wrap=True):
        root = touch("videos/v_a1.mp4", "videos/b2.mkv", "videos/deep/c3.webm", name)
        (root / name).write_text(json.dumps({"version": "1.3", "database": database} if wrap else database))
        return root

    return make


def test_videos_are_found_by_name_and_may_have_no_action(write):
    located = open_located(write(GOOD))
    assert [(v.path.rpartition("/")[2], v.part, len(v.segments)) for v in located.videos] == [
        ("v_a1.mp4", "train", 1), ("b2.mkv", "valid", 1), ("c3.webm", "train", 0),
    ]  # fmt: skip
    assert (located.videos[1].segments[0].span.end_s, list(located.labels)) == (2, ["jump"])
    assert len(open_located(write(GOOD, wrap=False))) == 3
    assert len(open_located(write(GOOD, "videos/anet.json") / "videos/anet.json")) == 3


def test_one_span_may_have_two_labels_and_doubled_actions_count_once(write, caplog):
    actions = [{"segment": [1, 2], "label": name} for name in ("run", "jump", "run")]
    data = open_data(write({"a1": {"annotations": actions}}))
    assert [example.labels for example in data.examples] == [("run", "jump")]
    assert "1 actions stand twice, of which one is used: " in caplog.text


def test_missing_videos_are_left_out(write, caplog):
    assert len(open_data(write({**GOOD, "x": GOOD["a1"]}))) == 3
    assert "left out 1 of 4 listed videos that do not exist: x" in caplog.text
    faults = []
    open_data(write({**GOOD, "x": GOOD["a1"]}), faults=faults)
    assert "1 of 4 listed videos do not exist" in str(faults)


@pytest.mark.parametrize(
    ("segment", "label"),
    [([2, 2], "a"), ([3, 2], "a"), ([float("nan"), 2], "a"), ([1], "a"), (None, "a"), ([-1, 2], "a"), ([1, "x"], "a"),
     ([True, 2], "a"), ([1, 2], ""), ([1, 2], None)],
)  # fmt: skip
def test_a_wrong_action_is_named(write, segment, label):
    bad = {"a1": {"annotations": [GOOD["a1"]["annotations"][0], {"segment": segment, "label": label}]}}
    with pytest.raises(DataError, match=r"(no span|without a label).*anet\.json: a1, action 2: "):
        open_data(write(bad))


def test_unknown_classes_and_parts_are_named(write):
    labels = open_data(write(GOOD)).labels
    bad = {"a1": {"annotations": [{"segment": [0, 1], "label": "jumps"}]}}
    with pytest.raises(DataError, match=r"no class called 'jumps': .*a1, action 1: Did you mean jump"):
        open_data(write(bad), labels=labels)
    with pytest.raises(DataError, match=r"no part called 'trian': .*anet\.json: a1"):
        open_data(write({"a1": {"subset": "trian", "annotations": []}}))


def test_broken_files_are_named(write):
    path = write(GOOD) / "labels/anet.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match=r"broken JSON: .*anet\.json, line 1: "):
        open_data(path)
    path.write_text('{"database": {"a1": {"subset": "training"}}}')
    with pytest.raises(DataError, match=r"a video without a list of .*anet\.json: a1"):
        open_data(path, format="activitynet")
    with pytest.raises(DataError, match="0 files of located actions"):
        open_data(path.parent.parent / "videos", format="activitynet")
    write(GOOD, "labels/other.json")
    path.write_text(json.dumps({"database": GOOD}))
    with pytest.raises(DataError, match=r"2 files of located actions: .*name one"):
        open_data(path.parent.parent)


@pytest.mark.parametrize("name", ["thumos14/evaluation/thumos_gt.json", "activitynet13/data/activitynet_annotations"])
def test_published_files_are_read(real_data, tmp_path, name):
    from kinema.datasets.formats.activitynet import find_files, read_database

    (file,) = find_files(str(real_data / "annotations" / name))
    database = read_database(file)
    for stem in database:
        (tmp_path / f"{stem}.mp4").touch()
    (tmp_path / "list.json").symlink_to(file)
    faults: list[DataError] = []  # an action of ActivityNet has no length
    located = located_set(open_data(tmp_path, faults=faults))
    assert len(located) == len(database)
    assert len(faults) < 100
    assert sum(located.counts().values()) > 3000
