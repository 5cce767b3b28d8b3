"""Reels: exact borders with cuts and dissolves, speed kept, no part or class leaks, and the same seed the same reel."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kinema.datasets import open_data, split_data
from kinema.datasets.dataset import make_data_set
from kinema.datasets.located import open_located
from kinema.errors import ConfigError, DataError, OutputError, UnknownClass, UsageError
from kinema.runs.options import ReelOptions
from kinema.runs.reel import Placed, plan_reels, write_reel, write_reels
from kinema.types import Example
from kinema.video import open_video
from kinema.video.writer import VideoWriter

GREY = {"dark": 30, "light": 220, "middle": 120}
ALL = ReelOptions(clips_per_video=(3, 3), empty_share=0)


def write_clip(path, label, fps=25.0, num_frames=25, size=(32, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps, size) as writer:
        for _ in range(num_frames):
            writer.write(np.full((*size, 3), GREY[label], np.uint8))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    for part, count in (("train", 3), ("valid", 1)):
        for label in GREY:
            for number in range(count):
                slow = part == "train" and number == 0
                write_clip(root / part / label / f"{number}.mp4", label, 10.0 if slow else 25.0, 10 if slow else 25)
    return root


@pytest.fixture(scope="module")
def reels(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reels") / "out"
    return folder, write_reels(open_data(clips), folder, replace(ALL, background=("dark",), clips_per_video=(4, 4)))


def brightness(path):
    with open_video(str(path)) as video:
        return video.frames_at(np.arange(len(video))).mean(axis=(1, 2, 3)), np.asarray(video.times_s)


def test_truth_is_exact_whatever_the_rate_of_the_clips(reels):
    _, result = reels
    assert (result.num_clips, result.fps, result.size) == (12, 25.0, (32, 48))
    for video in result.located.videos:
        shown, times_s = brightness(video.path)
        label_at = np.array(["dark", "middle", "light"])[np.digitize(shown, [75, 170])]
        true = np.full(len(times_s), "dark", dtype="<U6")
        for action in video.segments:
            true[(times_s >= action.span.start_s - 1e-3) & (times_s < action.span.end_s - 1e-3)] = action.label
        assert (label_at == true).all()
        assert all(round(action.span.duration_s, 3) == 1.0 for action in video.segments)


def test_all_its_files_tell_the_same(reels):
    folder, result = reels
    assert open_located(folder).videos == result.located.videos
    assert open_located(folder / "activitynet.json").counts() == result.located.counts() == {"light": 4, "middle": 4}
    with open(folder / "clips.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert all(row["clip"].startswith(row["video"].removeprefix("videos/")[:5]) for row in rows)  # parts never mix
    assert json.loads((folder / "reel.json").read_text())["options"]["background"] == ["dark"]
    assert result.to_json()["parts"] == {"train": 3, "valid": 1}


def test_the_border_of_a_dissolve_is_its_middle(clips, tmp_path):
    one, two = (clips / "train" / name / "1.mp4" for name in ("dark", "light"))
    data = open_data(clips)
    examples = {e.path: e for e in data.examples}
    placed = [Placed(examples[str(path)], (0.0, 1.0), blend) for path, blend in ((one, 0), (two, 4))]
    borders = write_reel(tmp_path / "a.mp4", placed, (32, 48), 25.0)
    assert borders == [0, 23 / 25, 46 / 25]
    shown, _ = brightness(tmp_path / "a.mp4")
    assert len(shown) == 46
    assert np.abs(shown[19:27] - [30, 30, 53.75, 101.25, 148.75, 196.25, 220, 220]).max() < 4


def test_lengths_and_dissolves_are_drawn(clips, tmp_path):
    options = replace(ALL, trim=0.5, dissolve=(0, 10), repeat=2)
    first = write_reels(open_data(clips), tmp_path / "a", options)
    with open(tmp_path / "a/clips.csv") as file:
        rows = list(csv.DictReader(file))
    lengths = [float(row["clip_end"]) - float(row["clip_start"]) for row in rows]
    assert 0.5 <= min(lengths) < 0.65
    assert 0.8 < max(lengths) <= 1.0001
    assert len({row["dissolve_frames"] for row in rows}) > 3
    assert len(rows) == 24
    again = write_reels(open_data(clips), tmp_path / "b", options)
    assert [v.segments for v in again.located.videos] == [v.segments for v in first.located.videos]


def test_clips_of_one_class_are_apart_and_groups_together():
    examples = [Example(f"{i}.mp4", ("ab"[i % 2],), None, "train", f"g{i // 10}") for i in range(40)]
    data = open_fake(examples)
    (reel,) = plan_reels(data, replace(ALL, clips_per_video=(40, 40)), np.random.default_rng(0))
    groups = [example.group for example in reel]
    assert sum(a != b for a, b in pairwise(groups)) == 3
    labels = [example.label for example in reel]
    assert sum(a == b for a, b in pairwise(labels)) <= 3  # only where groups meet


def test_some_reels_have_no_action():
    examples = [Example(f"{i}.mp4", ("ab"[i % 2],), None, "train") for i in range(40)]
    options = replace(ALL, background=("a",), empty_share=0.3)
    reels = plan_reels(open_fake(examples), options, np.random.default_rng(0))
    assert sum(all(example.label == "a" for example in reel) for reel in reels) == 2
    assert len({example.path for reel in reels for example in reel}) == 40


def test_clips_without_actions_come_again_between_actions_that_are_left_over():
    examples = [Example(f"{i}.mp4", ("fight" if i % 4 else "calm",), None, "train") for i in range(24)]
    options = replace(ALL, background=("calm",), clips_per_video=(60, 60))
    (reel,) = plan_reels(open_fake(examples), options, np.random.default_rng(0))
    assert {example.path for example in reel} == {example.path for example in examples}
    assert not any(a.label == b.label for a, b in pairwise(reel))
    assert sum(example.label == "fight" for example in reel) == 18


def open_fake(examples):
    return make_data_set("fake", "fake", examples, None)


def test_clips_of_another_shape_get_borders(tmp_path):
    write_clip(tmp_path / "in/train/light/a.mp4", "light", size=(32, 32))
    write_clip(tmp_path / "in/train/dark/b.mp4", "dark", size=(32, 32))
    write_reels(open_data(tmp_path / "in"), tmp_path / "out", replace(ALL, size="32x64", fps=10.0))
    with open_video(str(tmp_path / "out/videos/train_0001.mp4")) as video:
        frames = video.frames_at([2, 12]).max(axis=0).mean(axis=(0, 2))
    assert len(frames) == 64
    assert frames[:12].max() < 60
    assert frames[20:44].min() > 180


def test_wrong_requests_are_refused(clips, tmp_path):
    data = open_data(clips)
    with pytest.raises(UnknownClass, match="Did you mean dark"):
        write_reels(data, tmp_path / "x", ReelOptions(background=("drak",)))
    with pytest.raises(UsageError, match="no class is left"):
        write_reels(data, tmp_path / "x", ReelOptions(background=("dark", "light"), distractors=("middle",)))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").touch()
    with pytest.raises(OutputError, match="not empty"):
        write_reels(data, tmp_path / "full", ALL)
    with pytest.raises(DataError, match="no parts"):
        write_reels(data.with_examples(replace(e, split=None) for e in data.examples), tmp_path / "x", ALL)
    torn = data.with_examples(replace(e, group="one") for e in data.examples)
    with pytest.raises(DataError, match="1 groups or files are in two parts"):
        write_reels(torn, tmp_path / "x", ALL)
    assert split_data(torn.with_examples(data.examples)).has_parts
    for wrong in ({"trim": 0}, {"dissolve": (3, 1)}, {"clips_per_video": (0, 3)}, {"size": "x"}, {"fps": float("nan")}):
        with pytest.raises(ConfigError):
            ReelOptions(**wrong)
