"""Boxes go where their persons go: a coloured rectangle in drawn frames is inside its box after any change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinema.clips.box_transforms import transform_with_boxes
from kinema.clips.transforms import PRESETS, Augment
from kinema.types import InputSpec

HEIGHT, WIDTH = 60, 90
BOXES = np.array([[0.2, 0.3, 0.5, 0.8], [0.7, 0.1, 0.9, 0.4]])


def drawn() -> torch.Tensor:
    """Frames [t c h w]: a red rectangle in the first box, a green one in the second."""
    frames = torch.full((2, 3, HEIGHT, WIDTH), 20, dtype=torch.uint8)
    for channel, box in enumerate(BOXES):
        left, top, right, bottom = (round(side) for side in box * (WIDTH, HEIGHT, WIDTH, HEIGHT))
        frames[:, channel, top:bottom, left:right] = 230
    return frames


@pytest.mark.parametrize("resize", ["crop", "stretch"])
@pytest.mark.parametrize("preset", ["none", "light", "standard", "karpathy"])
def test_rectangles_stay_in_their_boxes(preset: str, resize: str):
    spec = InputSpec(clip_len=2, size=(40, 48), resize=resize)
    flipped, num_kept = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        clip, boxes, kept = transform_with_boxes(drawn(), BOXES, PRESETS[preset], spec, rng)
        assert clip.shape == (3, 2, 40, 48)
        num_kept += len(kept)
        for place, box in zip(kept, boxes, strict=True):
            rows, columns = torch.nonzero(clip[place, 0] > 120, as_tuple=True)
            seen = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (seen - box).abs().max() <= 1.5
        if len(kept) == 2:
            flipped += bool(boxes[0, 0] > boxes[1, 0])
    assert num_kept > 10
    assert (flipped > 0) == (PRESETS[preset].flip > 0)


def test_boxes_that_a_crop_cuts_off_are_left_out():
    spec, augment = InputSpec(clip_len=2, size=(20, 20)), Augment(scale=(0.05, 0.1), flip=0.0)
    counts = set()
    for seed in range(30):
        _, boxes, kept = transform_with_boxes(drawn(), BOXES, augment, spec, np.random.default_rng(seed))
        counts.add(len(kept))
        assert ((boxes >= 0) & (boxes <= 20)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert {0, 1} <= counts


def test_key_frames_without_boxes_pass():
    spec = InputSpec(clip_len=2, size=(20, 20))
    clip, boxes, kept = transform_with_boxes(
        drawn(), np.empty((0, 4)), PRESETS["strong"], spec, np.random.default_rng(0)
    )
    assert (clip.shape, boxes.shape, len(kept)) == ((3, 2, 20, 20), (0, 4), 0)
