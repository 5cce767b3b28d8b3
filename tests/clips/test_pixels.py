"""Crops, scales, rotations and changes of colour, with and without optical flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from kinema.clips import pixels
from kinema.types import FLOW_ZERO


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(num_frames: int = 4, height: int = 48, width: int = 64) -> Tensor:
    return torch.from_numpy(rng(9).integers(0, 256, (num_frames, 3, height, width), dtype=np.uint8))


def ramp(height: int = 40, width: int = 80) -> Tensor:
    """Red grows to the right, green to the bottom; two frames."""
    frame = torch.zeros(3, height, width)
    frame[0], frame[1] = torch.linspace(0, 255, width), torch.linspace(0, 255, height)[:, None]
    return frame.to(torch.uint8).expand(2, -1, -1, -1).contiguous()


def flow_noise(channels: int, height: int = 40, width: int = 48) -> Tensor:
    return torch.from_numpy(rng(3).integers(1, 256, (2, channels, height, width), dtype=np.uint8))


def test_random_resized_crops_keep_to_the_wanted_area():
    frames = ramp(100, 100)
    for seed in range(30):
        part = pixels.random_resized_crop(frames, (50, 50), rng(seed), (0.25, 0.25), (1.0, 1.0))
        assert int(part[0, 0, 0, -1]) - int(part[0, 0, 0, 0]) == pytest.approx(255 / 2, abs=6)


@pytest.mark.parametrize("size", [(30, 50), (61, 17), (100, 90)])
@pytest.mark.parametrize("channels", [3, 5])
def test_frames_are_scaled_as_torchvision_scales_them(size, channels):
    from torchvision.transforms.v2 import functional

    decoded = np.random.default_rng(0).integers(0, 256, (2, 48, 64, channels), dtype=np.uint8)
    for frames in (torch.from_numpy(decoded).permute(0, 3, 1, 2), torch.from_numpy(decoded[:1]).permute(0, 3, 1, 2)):
        expected = functional.resize(frames, list(size), antialias=True)
        assert torch.equal(pixels.resize(frames, size), expected)


def test_three_crops_of_tall_frames_are_top_middle_and_bottom():
    views = pixels.three_crops(ramp(80, 40), (40, 40))
    assert [int(view[0, 1, 0, 0]) for view in views] == [int(ramp(80, 40)[0, 1, top, 0]) for top in (0, 20, 40)]


def test_erasing_covers_a_box_in_all_frames():
    frames = noise()
    erased = pixels.random_erasing(frames, rng(), probability=1.0)
    covered = (erased != frames).any(dim=1)
    assert 0.01 < covered.float().mean() < 0.4
    assert torch.equal(pixels.random_erasing(frames, rng(), probability=0.0), frames)


def test_a_frame_rotates_counter_clockwise_and_its_corners_take_the_mean_colour():
    frames = torch.zeros(2, 3, 33, 33, dtype=torch.uint8)
    frames[..., 14:19, 28:33] = 200  # on the right
    rotated = pixels.rotate(frames, 90.0)
    assert (rotated[..., 0:5, 14:19] == 200).all()  # on top
    assert rotated.float().sum() == frames.float().sum()
    tilted = pixels.rotate(torch.full((1, 3, 32, 32), 90, dtype=torch.uint8), 30.0)
    assert (tilted == 90).all()


def test_a_flipped_field_moves_to_the_other_side():
    frames = flow_noise(5)
    flipped = pixels.flip(frames, num_flow=2)
    back = flipped.flip(-1)
    assert torch.equal(back[:, :3], frames[:, :3])
    assert torch.equal(back[:, 3].int(), 2 * FLOW_ZERO - frames[:, 3].int())
    assert torch.equal(back[:, 4], frames[:, 4])
    assert torch.equal(pixels.flip(flipped, num_flow=2), frames)


def test_flipping_a_value_that_only_jpeg_makes_does_not_wrap_around():
    assert pixels.flip(torch.zeros(1, 2, 1, 1, dtype=torch.uint8), num_flow=2)[0, :, 0, 0].tolist() == [255, 0]


def test_changes_that_move_pixels_are_left_out_where_there_is_flow():
    frames = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    frames[..., 14:18] = 200  # a stripe that stays where it is whatever its colour
    for seed in range(60):
        found = pixels.rand_augment(frames, rng(seed), 20, colours_only=True)[
            ..., 2:-2, 2:-2
        ]  # sharpening spares the edge
        assert (found == found[:, :, :1]).all()
        assert (found[..., :10] == found[..., :1]).all()


def test_what_is_erased_stands_still():
    frames = flow_noise(5, 32, 32)
    erased = pixels.random_erasing(frames, rng(), 1.0, num_flow=2)
    covered = (erased != frames)[0, 0]
    assert covered.any()
    assert (erased[:, 3:, covered] == FLOW_ZERO).all()
    assert not (erased[:, :3, covered] == FLOW_ZERO).all()


def test_a_rotated_field_rotates_its_motion():
    right = torch.full((1, 5, 32, 32), FLOW_ZERO, dtype=torch.uint8)
    right[:, 3] = 148
    rotated = pixels.rotate(right, 90.0, num_flow=2)
    assert (rotated[:, 3] == FLOW_ZERO).all()
    assert (rotated[:, 4] == 108).all()  # up, as y grows downwards


@pytest.mark.parametrize(("height", "width"), [(240, 427), (427, 240), (359, 640), (240, 320), (33, 71), (7, 5)])
def test_sides_are_those_of_torchvision(height: int, width: int):
    """The long side is rounded down."""
    v2 = pixels.load_torchvision()
    frames = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    for side in (16, 171, 182, 256):
        assert pixels.resize(frames, side).shape == v2.functional.resize(frames, [side]).shape
        assert pixels.cover(frames, (side, side)).shape == v2.functional.resize(frames, [side]).shape


def test_a_covered_crop_fits_whichever_side_needs_the_larger_scale():
    for height, width in ((50, 101), (101, 50), (64, 64)):
        frames = torch.zeros(1, 3, height, width, dtype=torch.uint8)
        for size in ((30, 70), (70, 30), (49, 100)):
            covered = pixels.cover(frames, size).shape[-2:]
            assert covered[0] >= size[0]
            assert covered[1] >= size[1]
            assert covered[0] == size[0] or covered[1] == size[1]
        assert min(pixels.cover(frames, (30, 30), 40).shape[-2:]) == 40
