"""What training and evaluation do to a clip."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from kinema.clips.transforms import PRESETS, Augment, decode_size, normalize, preset, train_transform, view_transform
from kinema.errors import UnknownName, UsageError
from kinema.types import FLOW_ZERO, InputSpec

SPEC = InputSpec(clip_len=4, size=(32, 32))


FLOW = InputSpec(clip_len=2, size=(32, 32), mean=(128 / 255,) * 2, std=(127 / 255,) * 2, modality="flow")

BOTH = FLOW.with_(mean=(0.5,) * 3 + FLOW.mean, std=(0.2,) * 3 + FLOW.std, modality="rgb+flow")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(num_frames: int = 4, height: int = 48, width: int = 64) -> Tensor:
    return torch.from_numpy(rng(9).integers(0, 256, (num_frames, 3, height, width), dtype=np.uint8))


def still(num_frames: int = 4, height: int = 48, width: int = 64) -> Tensor:
    return noise(1, height, width).expand(num_frames, -1, -1, -1).contiguous()


def ramp(height: int = 40, width: int = 80) -> Tensor:
    """Red grows to the right, green to the bottom; two frames."""
    frame = torch.zeros(3, height, width)
    frame[0], frame[1] = torch.linspace(0, 255, width), torch.linspace(0, 255, height)[:, None]
    return frame.to(torch.uint8).expand(2, -1, -1, -1).contiguous()


def flow_noise(channels: int, height: int = 40, width: int = 48) -> Tensor:
    return torch.from_numpy(rng(3).integers(1, 256, (2, channels, height, width), dtype=np.uint8))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_changes_all_frames_of_a_clip_alike(name: str):
    for seed in range(20):
        clip = train_transform(PRESETS[name], SPEC)(still(), rng(seed))
        assert clip.shape == (3, 4, 32, 32)
        assert clip.dtype == torch.uint8
        assert (clip == clip[:, :1]).all()


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_depends_on_the_generator_alone(name: str):
    transform = train_transform(PRESETS[name], SPEC)
    one = transform(noise(), rng(3))
    torch.rand(7)
    assert torch.equal(one, transform(noise(), rng(3)))
    differs = any(not torch.equal(one, transform(noise(), rng(seed))) for seed in range(4, 14))
    assert differs == (name != "none")


def test_augmenting_leaves_the_global_generator_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_transform(PRESETS["strong"], SPEC)(noise(), rng())
    assert torch.equal(torch.rand(1), expected)


def test_no_flip_when_it_is_switched_off_and_always_at_one():
    frames = ramp()
    for seed in range(20):
        kept = train_transform(preset("standard", flip=0.0), SPEC)(frames, rng(seed))
        assert kept[0, 0, 16, -1] > kept[0, 0, 16, 0]
    flipped = train_transform(preset("light", flip=1.0), SPEC)(frames, rng())
    assert flipped[0, 0, 16, -1] < flipped[0, 0, 16, 0]


def test_presets_flip_half_the_time():
    transform = train_transform(PRESETS["light"], SPEC)
    flipped = [bool(clip[0, 0, 16, -1] < clip[0, 0, 16, 0]) for clip in (transform(ramp(), rng(s)) for s in range(200))]
    assert 70 < sum(flipped) < 130


def test_an_unknown_preset_says_the_nearest():
    with pytest.raises(UnknownName, match="standard"):
        preset("standart")


def test_karpathy_cuts_170_of_the_centre_at_200():
    spec = InputSpec(size=(170, 170))
    assert decode_size(spec, True, PRESETS["karpathy"]) == 200
    transform = train_transform(replace(PRESETS["karpathy"], flip=0.0), spec)
    frames = ramp(200, 400)
    clips = [transform(frames, rng(seed)) for seed in range(50)]
    left = [int(clip[0, 0, 0, 0]) for clip in clips]
    right = [int(clip[0, 0, 0, -1]) for clip in clips]
    assert min(left) >= 255 * 100 // 400 - 1  # never left or right of the centre square
    assert max(right) <= 255 * 300 // 400 + 1
    assert len(set(left)) > 10


def test_evaluation_scales_the_short_side_and_cuts_the_middle():
    view = view_transform(InputSpec(size=(20, 20), short_side=40))(ramp(40, 80))
    assert view.shape == (1, 3, 2, 20, 20)
    assert torch.equal(view[0, :, 0], ramp(40, 80)[0, :, 10:30, 30:50])


@pytest.mark.parametrize("name", ["r3d_18", "s3d", "mvit_v2_s"])
@pytest.mark.parametrize("size", [(90, 160), (120, 120), (127, 90)])
def test_a_published_network_sees_what_its_publisher_showed_it(name: str, size: tuple[int, int]):
    """Of frames that are smaller than what it sees; larger ones torchvision shrinks without antialiasing."""
    from torchvision.models import get_model_weights

    from kinema.models import VARIANTS

    spec, theirs = VARIANTS[name].input, get_model_weights(name).DEFAULT.transforms()
    frames = noise(2, *size)
    ours = normalize(view_transform(spec)(frames), spec)[0]
    assert (ours - theirs(frames)).abs().max() <= 1 / 255 / min(spec.std) + 1e-4  # pixels are whole numbers here


def test_frames_can_be_squeezed_before_the_crop():
    spec = InputSpec(size=(20, 20), squeezed=(40, 60))
    frames = ramp(40, 120)
    (view,) = view_transform(spec)(frames)
    assert view[0, 0, 0, [0, -1]].tolist() == pytest.approx([255 / 3, 255 * 2 / 3], abs=3)
    left, _, right = view_transform(spec, 3)(frames)
    assert left[0, 0, 0, 0] < 5
    assert right[0, 0, 0, -1] > 250
    assert decode_size(spec, train=False) == (40, 60)
    assert decode_size(spec.with_(size=(30, 30)), train=False) == (60, 90)
    assert decode_size(spec, True, Augment(crop="random", short_sides=(40, 50))) == (50, 75)
    assert decode_size(spec, True, PRESETS["standard"]) == (23, 34)
    cuts = [train_transform(replace(PRESETS["light"], flip=0.0), spec)(frames, rng(seed)) for seed in range(20)]
    widths = {int(cut[0, 0, 0, -1]) - int(cut[0, 0, 0, 0]) for cut in cuts}
    assert min(widths) > 255 * 19 / 34 - 12  # 20 of 34 columns, not of 69
    with pytest.raises(ValueError, match="cannot be cut"):
        InputSpec(size=(20, 20), squeezed=(40, 19))


def test_evaluation_can_squeeze_the_whole_frame():
    view = view_transform(InputSpec(size=(20, 20), resize="stretch"))(ramp())
    assert view[0, 0, 0, 10, 0] < 10
    assert view[0, 0, 0, 10, -1] > 245


def test_three_crops_are_left_middle_and_right():
    views = view_transform(InputSpec(size=(40, 40)), num_crops=3)(ramp(40, 80))
    frames = ramp(40, 80)[0]
    for view, left in zip(views, (0, 20, 40), strict=True):
        assert torch.equal(view[:, 0], frames[:, :, left : left + 40])


def test_flipped_views_follow_the_others():
    views = view_transform(InputSpec(size=(40, 40)), 3, flips=True)(ramp())
    assert views.shape[0] == 6
    assert torch.equal(views[3:], views[:3].flip(-1))


@pytest.mark.parametrize(("crops", "resize"), [(2, "crop"), (3, "stretch")])
def test_views_that_cannot_be_are_refused(crops: int, resize: str):
    with pytest.raises(UsageError):
        view_transform(SPEC.with_(resize=resize), crops)


@pytest.mark.parametrize("squeezed", [None, (36, 48), (33, 32)])
@pytest.mark.parametrize("size", [(10, 200), (48, 48), (7, 9), (31, 33)])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_frames_of_any_size_come_out_as_the_network_wants_them(
    size: tuple[int, int], name: str, squeezed: tuple[int, int] | None
):
    spec = SPEC.with_(squeezed=squeezed)
    assert train_transform(PRESETS[name], spec)(noise(2, *size), rng()).shape == (3, 2, 32, 32)
    assert view_transform(spec, 3)(noise(2, *size)).shape == (3, 3, 2, 32, 32)


def test_the_decoder_gets_the_size_that_is_needed_and_no_more():
    spec = InputSpec(size=(112, 112))
    assert decode_size(spec, train=False) == 112
    assert decode_size(spec.with_(short_side=128), train=False) == 128
    assert decode_size(spec.with_(resize="stretch"), train=False) == (112, 112)
    assert decode_size(spec, True, PRESETS["standard"]) == 128
    assert decode_size(spec.with_(resize="stretch"), True, PRESETS["standard"]) == (128, 128)
    assert decode_size(spec, True, PRESETS["none"]) == 112
    assert decode_size(spec, True, Augment(crop="random", short_sides=(128, 160))) == 160


def test_normalizing_takes_the_mean_and_divides_by_the_deviation():
    spec = InputSpec(mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    clips = torch.full((2, 3, 1, 1, 1), 255, dtype=torch.uint8)
    assert normalize(clips, spec)[1].flatten().tolist() == pytest.approx([1.0, 1.0, 0.0])
    assert normalize(clips, spec).dtype == torch.float32


def test_wrong_augmentations_are_refused():
    with pytest.raises(ValueError, match="flip"):
        Augment(flip=1.5)


def test_training_rotates_clips_by_no_more_than_requested():
    frames = torch.zeros(2, 3, 65, 65, dtype=torch.uint8)
    frames[..., 31:34, 40:] = 255
    transform = train_transform(Augment(crop="center", flip=0.0, rotate=20.0), SPEC.with_(size=(65, 65)))
    angles = []
    for seed in range(30):
        seen = transform(frames, rng(seed))[0, 0].float()
        rows, columns = torch.nonzero(seen > 128, as_tuple=True)
        angles.append(math.degrees(math.atan2(32 - rows.float().mean(), columns.float().mean() - 32)))
    assert -21 < min(angles) < -10
    assert 10 < max(angles) < 21


def test_flipped_views_flip_the_motion_too():
    still = torch.full((2, 2, 32, 32), FLOW_ZERO, dtype=torch.uint8)
    still[:, 0] = 140
    plain, flipped = view_transform(FLOW, flips=True)(still)
    assert (plain[0] == 140).all()
    assert (flipped[0] == 116).all()
    assert (flipped[1] == FLOW_ZERO).all()


def test_colours_change_and_flow_stays():
    frames = flow_noise(5, 32, 32)
    strong = Augment(crop="center", flip=0.0, jitter=0.4, rand_augment=9)
    changed = 0
    for seed in range(10):
        clip = train_transform(strong, BOTH)(frames, rng(seed)).transpose(0, 1)
        assert torch.equal(clip[:, 3:], frames[:, 3:])
        changed += not torch.equal(clip[:, :3], frames[:, :3])
    assert changed >= 9


def test_nothing_but_flow_has_no_colours_to_change():
    frames = flow_noise(2, 32, 32)
    strong = Augment(crop="center", flip=0.0, jitter=0.4, rand_augment=9)
    assert torch.equal(train_transform(strong, FLOW)(frames, rng()).transpose(0, 1), frames)


def test_flow_is_cut_and_scaled_with_its_frame():
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
