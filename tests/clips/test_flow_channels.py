"""Optical flow as channels of a clip: how it is made, and what augmentation does to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kinema.clips import pixels
from kinema.clips.flow import channels_at, check_flow, measure
from kinema.clips.mixing import apply_mixup
from kinema.clips.raft import Raft
from kinema.clips.transforms import PRESETS, Augment, decode_size, normalize, train_transform, view_transform
from kinema.errors import UsageError
from kinema.types import FLOW_ZERO, InputSpec

FLOW = InputSpec(clip_len=2, size=(32, 32), mean=(128 / 255,) * 2, std=(127 / 255,) * 2, modality="flow")
BOTH = FLOW.with_(mean=(0.5,) * 3 + FLOW.mean, std=(0.2,) * 3 + FLOW.std, modality="rgb+flow")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(channels: int, height: int = 40, width: int = 48) -> Tensor:
    return torch.from_numpy(rng(3).integers(1, 256, (2, channels, height, width), dtype=np.uint8))


def test_a_mirrored_field_moves_to_the_other_side():
    frames = noise(5)
    turned = pixels.flip(frames, num_flow=2)
    back = turned.flip(-1)
    assert torch.equal(back[:, :3], frames[:, :3])
    assert torch.equal(back[:, 3].int(), 2 * FLOW_ZERO - frames[:, 3].int())
    assert torch.equal(back[:, 4], frames[:, 4])
    assert torch.equal(pixels.flip(turned, num_flow=2), frames)


def test_mirroring_a_value_that_only_jpeg_makes_does_not_wrap_around():
    assert pixels.flip(torch.zeros(1, 2, 1, 1, dtype=torch.uint8), num_flow=2)[0, :, 0, 0].tolist() == [255, 0]


def test_flipped_views_turn_the_motion_too():
    still = torch.full((2, 2, 32, 32), FLOW_ZERO, dtype=torch.uint8)
    still[:, 0] = 140
    plain, turned = view_transform(FLOW, flips=True)(still)
    assert (plain[0] == 140).all()
    assert (turned[0] == 116).all()
    assert (turned[1] == FLOW_ZERO).all()


def test_colours_change_and_flow_stays():
    frames = noise(5, 32, 32)
    strong = Augment(crop="center", flip=0.0, jitter=0.4, rand_augment=9)
    changed = 0
    for seed in range(10):
        clip = train_transform(strong, BOTH)(frames, rng(seed)).transpose(0, 1)
        assert torch.equal(clip[:, 3:], frames[:, 3:])
        changed += not torch.equal(clip[:, :3], frames[:, :3])
    assert changed >= 9


def test_nothing_but_flow_has_no_colours_to_change():
    frames = noise(2, 32, 32)
    strong = Augment(crop="center", flip=0.0, jitter=0.4, rand_augment=9)
    assert torch.equal(train_transform(strong, FLOW)(frames, rng()).transpose(0, 1), frames)


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
    frames = noise(5, 32, 32)
    erased = pixels.random_erasing(frames, rng(), 1.0, num_flow=2)
    covered = (erased != frames)[0, 0]
    assert covered.any()
    assert (erased[:, 3:, covered] == FLOW_ZERO).all()
    assert not (erased[:, :3, covered] == FLOW_ZERO).all()


def test_flow_is_cut_and_scaled_with_its_picture():
    ramp = torch.linspace(1, 255, 48).to(torch.uint8).expand(2, 5, 40, 48).contiguous()
    for name in ("standard", "light", "karpathy"):
        clip = train_transform(replace(PRESETS[name], flip=0.0, jitter=0.0), BOTH)(ramp, rng(1))
        assert clip.shape == (5, 2, 32, 32)
        assert torch.equal(clip[0], clip[3])


def test_values_are_pixels_of_one_size_in_training_and_evaluation():
    for spec in (FLOW, FLOW.with_(short_side=60), FLOW.with_(resize="stretch")):
        sizes = {decode_size(spec, train, PRESETS[name]) for name in PRESETS for train in (True, False)}
        assert len(sizes) == 1
    assert decode_size(FLOW.with_(size=(224, 224)), train=False) == 256


def test_no_motion_is_zero_for_the_network_and_20_pixels_are_one():
    levels = torch.tensor([1, 128, 255], dtype=torch.uint8).expand(1, 2, 1, 1, 3)
    assert normalize(levels, FLOW)[0, 0, 0, 0].tolist() == pytest.approx([-1, 0, 1], abs=1e-6)


def test_mixing_blends_both_modalities():
    clips = torch.rand(4, 5, 2, 8, 8)
    mixed, _ = apply_mixup(clips, torch.eye(4), rng(), 1.0)
    assert (mixed != clips)[:, :3].any()
    assert (mixed != clips)[:, 3:].any()


def test_channels_are_those_that_the_network_asks_for(draw_count):
    film = np.stack([draw_count(index) for index in range(5)])
    read = []

    def frames_of(numbers):
        read.extend(numbers.tolist())
        return film[numbers]

    wanted = np.array([3, 0, 4, 3])
    both = channels_at(wanted, 5, BOTH, frames_of)
    assert read == [0, 1, 3, 4]
    assert both.shape == (4, 64, 96, 5)
    assert np.array_equal(both[..., :3], film[wanted])
    assert np.array_equal(both[0], both[3])
    assert np.array_equal(both[0][..., 3:], both[2][..., 3:])  # the last frame takes the motion of the one before
    assert np.array_equal(channels_at(wanted, 5, FLOW, frames_of), both[..., 3:])


def test_another_methods_flow_is_refused():
    check_flow(FLOW, "dis")
    check_flow(FLOW, None)
    with pytest.raises(UsageError, match="learned from dis flow"):
        check_flow(FLOW, "farneback")
    with pytest.raises(UsageError, match="sees RGB only"):
        check_flow(InputSpec(), "dis")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"flow": "horn"}, "unknown"),
        ({"mean": (0.5,) * 3, "std": (0.5,) * 3}, "flow has 2 channels"),
        ({"modality": "depth"}, "modality"),
        ({"modality": "rgb", "flow": "dis", "mean": (0.5,) * 3, "std": (0.5,) * 3}, "no optical flow"),
    ],
)
def test_inputs_that_cannot_be_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        FLOW.with_(**changes)


def test_the_parts_of_an_input():
    assert FLOW.flow == "dis"
    assert BOTH.part("flow") == FLOW
    assert BOTH.part("rgb").modality == "rgb"
    assert BOTH.part("rgb").flow == ""
    assert BOTH.part("rgb").num_channels == 3
    with pytest.raises(ValueError, match="no part"):
        FLOW.part("rgb")


def test_raft_measures_pictures_of_any_size_and_is_never_chosen_by_itself(monkeypatch):
    raft = Raft("raft_small", pretrained=False, device="cpu")
    frames = rng().integers(0, 256, (2, 20, 36, 3), dtype=np.uint8)
    found = raft(*frames)
    assert found.shape == (20, 36, 2)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    monkeypatch.setattr("kinema.clips.raft.shared", lambda name: raft)
    assert measure("raft_small") is raft
    assert measure("dis") is not raft


def test_a_turned_field_moves_along_with_the_picture():
    right = torch.full((1, 5, 32, 32), FLOW_ZERO, dtype=torch.uint8)
    right[:, 3] = 148
    turned = pixels.rotate(right, 90.0, num_flow=2)
    assert (turned[:, 3] == FLOW_ZERO).all()
    assert (turned[:, 4] == 108).all()  # up, as y grows downwards
