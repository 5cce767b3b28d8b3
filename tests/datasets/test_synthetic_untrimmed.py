"""Untrimmed synthetic videos: exact truth, the same content at every rate, videos without actions, overlaps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kinema.datasets.located import open_located
from kinema.datasets.synthetic_untrimmed import UntrimmedOptions, plan_video, write_untrimmed_set
from kinema.errors import OutputError, UnknownName
from kinema.video import open_video

SHORT = UntrimmedOptions(length_s=(5, 6), action_s=(1, 1.5), gap_s=(0.5, 1), size=(32, 32), empty_share=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("untrimmed") / "set"
    return root, write_untrimmed_set(root, 2, 1, seed=3, options=SHORT)


def test_what_is_written_is_read_again(folder):
    root, located = folder
    assert open_located(root).videos == open_located(root / "activitynet.json").videos == located.videos
    assert [bool(video.segments) for video in located.videos] == [True, False, False]
    assert [video.part for video in located.videos] == ["train", "train", "valid"]
    with pytest.raises(OutputError, match="not empty"):
        write_untrimmed_set(root)


def test_actions_lie_inside_and_apart_from_each_other():
    pieces = plan_video(np.random.default_rng(0), replace(SHORT, length_s=(60, 60)))
    actions = [piece for piece in pieces if piece.shows in SHORT.labels]
    assert len(actions) > 15
    assert all(1 <= piece.span.duration_s <= 1.501 for piece in actions)
    assert [a.span.end_s == b.span.start_s for a, b in pairwise(pieces)] == [True] * (len(pieces) - 1)
    assert all(a.shows not in SHORT.labels or b.shows not in SHORT.labels for a, b in pairwise(pieces))
    assert (pieces[0].span.start_s, pieces[-1].span.end_s) == (0, 60)
    assert not [p for p in plan_video(np.random.default_rng(0), SHORT, is_empty=True) if p.shows in SHORT.labels]


def test_overlapping_actions_have_different_labels():
    pieces = plan_video(np.random.default_rng(1), replace(SHORT, overlap=True, length_s=(60, 60)))
    actions = sorted((p.span, p.shows) for p in pieces if p.shows in SHORT.labels)
    pairs = [(a, b) for a, b in pairwise(actions) if b[0].start_s < a[0].end_s]
    assert len(pairs) >= 3
    assert all(a[1] != b[1] for a, b in pairs)


@pytest.mark.parametrize("fps", [30.0, "variable"])
def test_another_rate_shows_the_same_content(folder, tmp_path, fps):
    root, located = folder
    other = write_untrimmed_set(tmp_path / "set", 1, 0, seed=3, options=replace(SHORT, fps=fps, empty_share=0))
    assert other.videos[0].segments == located.videos[0].segments
    with open_video(str(root / "train_0001.mp4")) as slow, open_video(other.videos[0].path) as fast:
        assert abs(slow.info.duration_s - fast.info.duration_s) < 0.15
        times = np.asarray(fast.times_s)
        if fps == "variable":
            assert 0.03 < np.diff(times).min() < 0.05
            assert 0.08 < np.diff(times).max() < 0.11
        chosen = [10, 25, 40]
        near = [int(np.abs(times - slow.times_s[index]).argmin()) for index in chosen]
        difference = np.abs(slow.frames_at(chosen).astype(float) - fast.frames_at(near)).mean(axis=(1, 2, 3))
        assert difference.max() < (4 if fps == 30 else 25)


def test_the_frames_change_at_the_border_of_an_action(folder):
    _, located = folder
    action = located.videos[0].segments[0]
    with open_video(located.videos[0].path) as video:
        first = int(np.searchsorted(np.asarray(video.times_s), action.span.start_s - 1e-6))
        frames = video.frames_at(range(first - 2, first + 3)).astype(float)
    changes = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert changes[1] == changes.max()


def test_unknown_motions_and_wrong_lengths_are_refused():
    with pytest.raises(UnknownName, match="no motion called 'lift'"):
        UntrimmedOptions(labels=("lift",))
    with pytest.raises(ValueError, match="action_s needs 0 < shortest"):
        UntrimmedOptions(action_s=(2, 1))
    with pytest.raises(ValueError, match="empty_share"):
        UntrimmedOptions(empty_share=2)
