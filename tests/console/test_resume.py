"""The record of a stopped command: what is kept to the bit, and what makes it refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from kinema.console.resume import RECORD, ResumeRecord
from kinema.errors import OutputError
from kinema.predictions import Prediction, Segment, Timeline
from kinema.types import TimeSpan


@pytest.fixture
def video(tmp_path) -> Path:
    path = tmp_path / "一 video.mp4"
    path.write_bytes(b"frames")
    return path


def predicted(path: Path, rolling: int = 1, **changes: object) -> Prediction:
    rng = np.random.default_rng(0)
    scores, raw = (rng.random((3, 2), np.float32) for _ in range(2))
    times_s = np.array([0.5, 1.5, 2.5])
    spans_s = np.stack([times_s - 0.5, times_s + 0.5], axis=1)
    labels = ("dark\u2028", "light")
    timeline = Timeline(scores, times_s, spans_s, labels, raw if rolling > 1 else scores, rolling)
    found = (Segment(TimeSpan(0.0, 3.0), labels[1], 0.1 + 0.2),)
    return Prediction(str(path), labels, scores[0], TimeSpan(0.0, 3.0), timeline, found, **changes)


@pytest.mark.parametrize("rolling", [1, 3])
def test_a_kept_prediction_is_the_same_to_the_bit(rolling, video, tmp_path):
    before = predicted(video, rolling, damage="2 of 9 frames", fast_seek="nonref")
    ResumeRecord(tmp_path, {"step": 0.5}).add(before)
    (after,) = ResumeRecord(tmp_path, {"step": 0.5}).done.values()
    assert after.to_json() == before.to_json()
    assert (after.span, after.segments, after.labels) == (before.span, before.segments, before.labels)
    assert after.scores.tobytes() == before.scores.tobytes()
    for name in ("scores", "raw", "times_s", "spans_s"):
        kept, given = getattr(after.timeline, name), getattr(before.timeline, name)
        assert (kept.dtype, kept.tobytes()) == (given.dtype, given.tobytes()), name


def test_a_line_that_a_kill_cut_off_and_a_video_that_changed_count_as_not_done(video, tmp_path):
    record = ResumeRecord(tmp_path, {})
    record.add(predicted(video))
    path = tmp_path / RECORD
    whole = path.read_bytes()
    for length in range(len(whole) - 1, len(whole) - 40, -3):
        path.write_bytes(whole[:length])
        assert not ResumeRecord(tmp_path, {}).done
    path.write_bytes(whole[:-5])
    record.add(predicted(video))
    assert list(ResumeRecord(tmp_path, {}).done) == [str(video)]
    video.write_bytes(b"other frames")
    assert not ResumeRecord(tmp_path, {}).done


def test_other_settings_and_another_model_are_refused_by_name(video, tmp_path):
    model = tmp_path / "run" / "best"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"weights")
    settings = {"step": 0.5, "background": ("a", "b"), "render": None}
    ResumeRecord(tmp_path, settings, str(tmp_path / "run")).add(predicted(video))
    assert ResumeRecord(tmp_path, settings, str(tmp_path / "run")).done
    with pytest.raises(OutputError, match=f"another step .*: .*delete .*{RECORD}"):
        ResumeRecord(tmp_path, {**settings, "step": 1.0}, str(tmp_path / "run"))
    with pytest.raises(OutputError, match="another model"):
        ResumeRecord(tmp_path, settings, "x3d_m")
    os.utime(model / "model.safetensors", (1, 1))
    with pytest.raises(OutputError, match="another model"):
        ResumeRecord(tmp_path, settings, str(tmp_path / "run"))


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"settings": 3}), "\0\xff"])
def test_a_strange_record_is_one_error(text, tmp_path):
    (tmp_path / RECORD).write_text(text, encoding="latin-1")
    with pytest.raises(OutputError, match="delete it"):
        ResumeRecord(tmp_path, {})


def test_a_finished_command_leaves_no_record_and_a_stopped_one_says_that_it_goes_on(video, tmp_path):
    record = ResumeRecord(tmp_path, {})
    with pytest.raises(KeyboardInterrupt) as nothing_yet, record.resumable():
        raise KeyboardInterrupt
    record.add(predicted(video))
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"), record.resumable():
        raise KeyboardInterrupt
    assert not nothing_yet.value.args
    record.finish()
    assert not (tmp_path / RECORD).exists()
    without = ResumeRecord(None, {})
    without.add(predicted(video))
    without.finish()
    assert not without.done
