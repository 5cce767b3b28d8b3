"""Training clips around key frames: the frame of the key is the middle, boxes fit, broken files are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.clips.transforms import PRESETS
from kinema.datasets.box_clips import BoxClips, BoxSample, collate_boxes
from kinema.datasets.clips import Broken
from kinema.datasets.located_boxes import BoxSet
from kinema.datasets.opening import open_data
from kinema.datasets.synthetic_figures import write_figures_set
from kinema.types import InputSpec

SPEC = InputSpec(clip_len=3, size=(32, 48), fps=4.0, resize="stretch")


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> BoxSet:
    folder: Path = tmp_path_factory.mktemp("figures")
    write_figures_set(folder, counts={"train": 5}, seconds=3, fps=4, size=(64, 96))
    data = open_data(folder)
    assert isinstance(data, BoxSet)
    return data


def test_clips_are_around_the_key_frame_with_its_boxes(figures):
    clips = BoxClips(figures, SPEC)
    for index, example in enumerate(figures.examples[:4]):
        sample = clips[index]
        assert isinstance(sample, BoxSample)
        assert sample.clip.shape == (3, 3, 32, 48)
        frame = figures.key_frames[example.key]
        expected = frame.boxes * (48, 32, 48, 32)
        assert np.allclose(sample.boxes.numpy(), expected, atol=1e-4)
        assert sample.targets.tolist() == [figures.targets_of(labels).tolist() for labels in frame.labels]


def test_augmentation_depends_on_epoch_and_example_only(figures):
    clips = BoxClips(figures, SPEC, augment=PRESETS["standard"], seed=3)
    first, again, other = clips[0, 1], clips[0, 1], clips[1, 1]
    assert torch.equal(first.clip, again.clip)
    assert torch.equal(first.boxes, again.boxes)
    assert not torch.equal(first.clip, other.clip)


def test_batches_number_the_clips_of_boxes_and_list_broken_ones(figures, tmp_path):
    gone = replace(figures.examples[1], path=str(tmp_path / "gone.mp4"))
    frames = {**figures.key_frames, gone.key: figures.key_frames[figures.examples[1].key]}
    data = replace(figures, examples=(figures.examples[0], gone, figures.examples[2]), key_frames=frames)
    clips = BoxClips(data, SPEC)
    batch = collate_boxes([clips[0], clips[1], clips[2]])
    counts = [len(data.key_frames[data.examples[index].key].boxes) for index in (0, 2)]
    assert len(batch) == 2
    assert batch.indices.tolist() == [0, 2]
    assert batch.boxes[:, 0].tolist() == [0.0] * counts[0] + [1.0] * counts[1]
    assert len(batch.targets) == sum(counts)
    assert [(item.index, "gone.mp4" in item.key) for item in batch.broken] == [(1, True)]
    nothing = collate_boxes([clips[1]])
    assert (len(nothing), nothing.boxes.shape, isinstance(nothing.broken[0], Broken)) == (0, (0, 5), True)
