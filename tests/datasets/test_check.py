from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinema.datasets import open_data
from kinema.datasets.check import check_data
from kinema.datasets.dataset import DataSet
from kinema.labels import Labels
from kinema.types import Example, TimeSpan
from kinema.video.synthetic import APPEARANCES, draw_appearance


@pytest.fixture
def films(tmp_path, write_frames):
    """Draws a film by seed and writes it; `crf` and `scale` make copies that look alike but differ byte by byte."""

    def draw(name: str, seed: int, crf: int = 14, scale: int = 2) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = draw_appearance(APPEARANCES[0], np.random.default_rng(seed), num_frames=12, size=(48, 48))
        larger = (frame.repeat(scale, 0).repeat(scale, 1) for frame in frames)
        return write_frames(path, larger, options={"crf": str(crf)})

    return draw


def names(paths) -> set[str]:
    return {"/".join(Path(path).parts[-3:]) for path in paths}


def test_a_sound_set_has_nothing_to_report(films, tmp_path):
    for seed, name in enumerate(["train/a/1.mp4", "train/b/2.mp4", "valid/a/3.mp4", "valid/b/4.mp4"]):
        films(name, seed)
    report = check_data(open_data(tmp_path))
    assert (report.bad, report.duplicates, report.near, report.torn) == ((), (), (), ())
    assert report.clean() == report.data
    found = report.to_json()
    assert found["ok"]
    assert found["sizes"] == {"96x96": 4}
    assert found["frame_rates"] == {"25": 4}
    assert found["durations_s"]["median"] == pytest.approx(0.48)
    assert found["parts"]["train"] == {"a": 1, "b": 1}


def test_bad_files_are_found_with_their_reason_and_left_out(
    films, tmp_path, text_file, empty_file, zero_frame_video, truncated_video
):
    films("a/1.mp4", 0)
    films("b/2.mp4", 1)
    for number, path in enumerate((text_file, empty_file, zero_frame_video, truncated_video)):
        shutil.copy(path, tmp_path / "a" / f"bad{number}.mp4")
    report = check_data(open_data(tmp_path))
    assert {Path(file.path).name for file in report.bad} == {"bad0.mp4", "bad1.mp4", "bad2.mp4", "bad3.mp4"}
    assert all(file.reason for file in report.bad)
    assert names(example.path for example in report.clean().examples) == names(
        [tmp_path / "a/1.mp4", tmp_path / "b/2.mp4"]
    )


def test_damage_in_the_middle_is_found_by_decoding_everything(damaged_video, counting_video):
    data = DataSet(
        "toy", "", (Example(str(damaged_video), ("a",)), Example(str(counting_video), ("b",))), Labels(("a", "b"))
    )
    (bad,) = check_data(data, full=True).bad
    assert bad.path == str(damaged_video)


def test_a_span_behind_the_end_is_bad(short_video, counting_video):
    late = Example(str(short_video), ("a",), TimeSpan(5, 6))
    data = DataSet("toy", "", (late, Example(str(counting_video), ("b",))), Labels(("a", "b")))
    (bad,) = check_data(data).bad
    assert bad.status == "span"
    assert "0.2 s" in bad.reason


def test_copies_across_parts_leave_train_and_stay_in_valid(films, tmp_path):
    first = films("train/a/1.mp4", 0)
    films("train/b/2.mp4", 1)
    films("valid/b/3.mp4", 2)
    (tmp_path / "valid/a").mkdir(parents=True)
    shutil.copy(first, tmp_path / "valid/a/copy.mp4")
    report = check_data(open_data(tmp_path))
    assert [names(paths) for paths in report.leaking] == [{"train/a/1.mp4", "valid/a/copy.mp4"}]
    assert report.near == ()
    assert report.bad == ()
    assert names(e.path for e in report.clean().examples) == {"train/b/2.mp4", "valid/b/3.mp4", "valid/a/copy.mp4"}


def test_copies_with_different_labels_all_go(films, tmp_path):
    shutil.copy(films("a/1.mp4", 0), films("b/2.mp4", 1).parent / "copy.mp4")
    report = check_data(open_data(tmp_path))
    assert len(report.conflicting) == 1
    assert [Path(e.path).name for e in report.clean().examples] == ["2.mp4"]


def test_a_scaled_and_recompressed_copy_in_another_part_looks_alike(films, tmp_path):
    films("train/a/1.mp4", 0)
    films("train/b/2.mp4", 1)
    films("valid/a/again.mp4", 0, crf=30, scale=3)
    films("valid/b/3.mp4", 2)
    report = check_data(open_data(tmp_path))
    assert [names((pair.path, pair.other)) for pair in report.near] == [{"train/a/1.mp4", "valid/a/again.mp4"}]
    assert report.duplicates == ()
    assert check_data(open_data(tmp_path), near=False).near == ()


def test_videos_that_look_alike_within_one_part_or_group_are_no_problem(films):
    one, other, third = (
        str(films(name, seed, crf)) for name, seed, crf in (("1.mp4", 0, 14), ("2.mp4", 0, 30), ("3.mp4", 1, 14))
    )
    labels = Labels(("a", "b"))
    same_part = (
        Example(one, ("a",), split="train"),
        Example(other, ("a",), split="train"),
        Example(third, ("b",), split="valid"),
    )
    same_group = (Example(one, ("a",), group="g"), Example(other, ("a",), group="g"), Example(third, ("b",)))
    no_group = (Example(one, ("a",)), Example(other, ("a",)), Example(third, ("b",)))
    found = [
        len(check_data(DataSet("toy", "", examples, labels)).near) for examples in (same_part, same_group, no_group)
    ]
    assert found == [0, 0, 1]


def test_torn_groups_are_reported(films):
    examples = tuple(
        Example(str(films(f"{part}{label}.mp4", seed)), (label,), split=part, group=f"cam_{label}")
        for seed, (part, label) in enumerate([("train", "a"), ("valid", "a"), ("train", "b")])
    )
    assert check_data(DataSet("toy", "", examples, Labels(("a", "b")))).torn == ("cam_a",)


def test_progress_counts_files(films, tmp_path):
    films("a/1.mp4", 0)
    films("b/2.mp4", 1)
    steps = []
    check_data(open_data(tmp_path), advance=steps.append)
    assert sum(steps) == 2


@pytest.mark.real_data
def test_the_hockey_clip_that_stands_in_train_and_valid_is_found(real_data):
    report = check_data(open_data(real_data / "hockey"))
    assert [names(paths) for paths in report.leaking] == [{"train/no_fight/no212.mp4", "valid/no_fight/no40.mp4"}]


def test_a_span_that_ends_far_behind_the_end_is_bad(short_video, counting_video):
    """As frame numbers or milliseconds in place of seconds do."""
    spans = (Example(str(counting_video), ("b",), TimeSpan(0, 5.5)), Example(str(short_video), ("a",), TimeSpan(0, 5)))
    (bad,) = check_data(DataSet("toy", "", spans, Labels(("a", "b")))).bad
    assert (bad.path, bad.status) == (str(short_video), "span")
    assert "ends after the end, at 0.2 s" in bad.reason


def test_the_rate_of_pictures_is_that_of_the_data_set(image_folder):
    span = Example(str(image_folder), ("a",), TimeSpan(1, 1.2))
    data = DataSet("toy", "", (span,), Labels(("a", "b")))
    assert check_data(data).bad
    assert not check_data(replace(data, image_fps=10.0)).bad


def test_pipes_in_a_data_set_are_bad_files(films, tmp_path):
    films("a/1.mp4", 0)
    films("b/2.mp4", 1)
    os.mkfifo(tmp_path / "a/2.mp4")
    (tmp_path / "b/3.mp4").symlink_to("gone.mp4")
    bad = check_data(open_data(tmp_path)).bad
    assert [file.reason.partition(",")[0].partition(":")[0] for file in bad] == ["a pipe", "a link to gone.mp4"]
