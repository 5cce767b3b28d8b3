"""Labels along a video: from rows to targets at times."""

from __future__ import annotations

import numpy as np

from kinema.clips.transforms import PRESETS
from kinema.datasets.clips import Broken, collate
from kinema.datasets.framewise_clips import FramewiseClips
from kinema.datasets.temporal_labels import (
    temporal_labels,
    with_background,
)
from kinema.types import InputSpec

SPEC = InputSpec(clip_len=6, frame_stride=2, size=(32, 48))


def test_each_frame_of_a_clip_has_the_class_that_is_shown_then(listed, read_count):
    data = with_background(listed(("a", 0.4, 2), ("b", 2, 3.2)))
    clips = FramewiseClips(data, SPEC, temporal_labels(data), augment=PRESETS["none"])
    seen = set()
    for epoch in range(12):
        sample = clips[(epoch, 1)]
        frames = [read_count(frame) for frame in sample.clips[0].permute(1, 2, 3, 0).numpy()]
        assert np.diff(frames).tolist() == [2] * 5
        wanted = [0 if 10 <= frame < 50 else 1 if 50 <= frame < 80 else 2 for frame in frames]
        assert sample.target.tolist() == wanted
        seen |= set(wanted)
    assert seen == {0, 1, 2}
    batch = collate([clips[0], clips[1]])
    assert batch.targets.shape == (2, 6)
    assert batch.clips.shape == (2, 3, 6, 32, 48)


def test_a_frame_that_stays_is_learned_with_the_label_of_each_moment(listed, held_video, read_count):
    """Frames at 0, 0.5, 1, and at 1.5 s one that stays until 4.5 s."""
    data = listed(("a", 0, 3), ("b", 3, 4.5), path=held_video)
    spec = SPEC.with_(fps=2.0, clip_len=2, frame_stride=1)
    clips = FramewiseClips(data, spec, temporal_labels(data), augment=PRESETS["none"])
    seen = set()
    for epoch in range(60):
        sample = clips[(epoch, 0)]
        frames = [read_count(frame) for frame in sample.clips[0].permute(1, 2, 3, 0).numpy()]
        seen |= set(zip(frames, sample.target.tolist(), strict=True))
    assert seen == {(0, 0), (1, 0), (2, 0), (3, 0), (3, 1)}


def test_a_clip_depends_on_seed_epoch_and_number_alone(listed):
    data = with_background(listed(("a", 1, 2), ("b", 3, 4)))
    one, other = (
        FramewiseClips(data, SPEC, temporal_labels(data), augment=PRESETS["standard"], seed=7) for _ in range(2)
    )
    assert (one[(3, 0)].clips == other[(3, 0)].clips).all()
    assert any((one[(epoch, 0)].clips != one[(epoch + 1, 0)].clips).any() for epoch in range(3))


def test_a_broken_video_is_listed_separately(listed, empty_file):
    data = listed(("a", 1, 2), ("b", 3, 4), path=empty_file)
    clips = FramewiseClips(data, SPEC, temporal_labels(data), augment=PRESETS["none"])
    assert isinstance(clips[0], Broken)
    with_background(data)
