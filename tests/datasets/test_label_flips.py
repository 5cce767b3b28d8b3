from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinema.clips.transforms import Augment
from kinema.datasets.clips import ClipDataset
from kinema.datasets.dataset import DataSet
from kinema.datasets.framewise_clips import FramewiseClips
from kinema.datasets.label_flips import LabelFlips
from kinema.datasets.temporal_labels import TemporalLabels
from kinema.labels import IGNORED, Labels
from kinema.types import Example, InputSpec, TimeSpan
from kinema.video.writer import VideoWriter


def moving_dot(path) -> Example:
    """A bright square that moves to the right; its mirror image moves to the left."""
    frames = np.zeros((8, 32, 64, 3), np.uint8)
    for at, frame in enumerate(frames):
        frame[8:24, 4 + 6 * at : 12 + 6 * at] = 255
    with VideoWriter(path, fps=25, size=(32, 64)) as writer:
        for frame in frames:
            writer.write(frame)
    return Example(str(path), ("right",))


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_mirrored_clip_has_the_label_of_what_it_shows(tmp_path, multi_label):
    example = moving_dot(tmp_path / "dot.mp4")
    labels = Labels(("left", "right", "up"))
    data = DataSet("toy", "/toy", [example], labels, multi_label)
    spec = InputSpec(clip_len=8, frame_stride=1, size=(32, 64), resize="stretch")
    half = Augment(crop="center", flip=0.5)
    clips = ClipDataset(data, spec, augment=half, label_flips=LabelFlips(mirror=labels.mirrored(["left=right"])))
    seen = set()
    for epoch in range(12):
        sample = clips[epoch, 0]
        columns = sample.clips[0, 0].float().mean(dim=1).argmax(dim=-1)  # where the dot is in each frame
        shown = "right" if columns[-1] > columns[0] else "left"
        target = sample.target.argmax() if multi_label else sample.target
        assert labels[int(target)] == shown
        seen.add(shown)
    assert seen == {"left", "right"}


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_clip_played_backwards_has_the_label_of_what_it_shows(tmp_path, multi_label):
    example = moving_dot(tmp_path / "dot.mp4")
    labels = Labels(("left", "right", "up"))
    data = DataSet("toy", "/toy", [example, replace(example, labels=("up",))], labels, multi_label)
    spec = InputSpec(clip_len=8, frame_stride=1, size=(32, 64), resize="stretch")
    plain = Augment(crop="center", flip=0.0)
    clips = ClipDataset(data, spec, augment=plain, label_flips=LabelFlips(reverse=labels.reversed(["left=right"])))
    seen = []
    for epoch in range(12):
        for index in (0, 1):
            sample = clips[epoch, index]
            columns = sample.clips[0, 0].float().mean(dim=1).argmax(dim=-1)
            target = sample.target.argmax() if multi_label else sample.target
            seen.append(("right" if columns[-1] > columns[0] else "left", labels[int(target)]))
            assert not multi_label or sample.target.sum() == 1
    assert set(seen) == {("right", "right"), ("left", "left"), ("right", "up")}, "up has no reverse class"


def test_labels_of_frames_played_backwards_are_in_reverse_order(tmp_path):
    example = moving_dot(tmp_path / "dot.mp4")
    labels = Labels(("left", "right", "up"))
    spec = InputSpec(clip_len=8, frame_stride=1, size=(32, 64), resize="stretch")
    plain = Augment(crop="center", flip=0.0)
    seen = {}
    for name, middle in (("known", -1), ("unknown", 2)):
        spans = ((TimeSpan(0, 0.08), 0), (TimeSpan(0.08, 0.16), middle), (TimeSpan(0.16, 1), 1))
        at = TemporalLabels(tuple((span, label) for span, label in spans if label >= 0))
        data = DataSet("toy", "/toy", [example], labels)
        clips = FramewiseClips(
            data,
            spec,
            {example.path: at},
            augment=plain,
            label_flips=LabelFlips(reverse=labels.reversed(["left=right"])),
        )
        seen[name] = {tuple(clips[epoch, 0].target.tolist()) for epoch in range(8)}
    ignored = IGNORED
    assert seen["known"] == {
        (0, 0, ignored, ignored, 1, 1, 1, 1),
        (0, 0, 0, 0, ignored, ignored, 1, 1),
    }
    assert seen["unknown"] == {(0, 0, 2, 2, 1, 1, 1, 1)}
