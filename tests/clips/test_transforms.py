from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from kinema.clips.clip import Clip
from torch import Tensor

from kinema.clips import pixels
from kinema.clips.transforms import (
    PRESETS,
    Augment,
    decode_size,
    denormalize,
    normalize,
    preset,
    train_transform,
    view_transform,
)
from kinema.errors import UnknownName, UsageError
from kinema.types import InputSpec

SPEC = InputSpec(clip_len=4, size=(32, 32))


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
    turned = train_transform(preset("light", flip=1.0), SPEC)(frames, rng())
    assert turned[0, 0, 16, -1] < turned[0, 0, 16, 0]


def test_presets_flip_half_the_time():
    transform = train_transform(PRESETS["light"], SPEC)
    turned = [bool(clip[0, 0, 16, -1] < clip[0, 0, 16, 0]) for clip in (transform(ramp(), rng(s)) for s in range(200))]
    assert 70 < sum(turned) < 130


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


def test_three_crops_of_tall_frames_are_top_middle_and_bottom():
    views = pixels.three_crops(ramp(80, 40), (40, 40))
    assert [int(view[0, 1, 0, 0]) for view in views] == [int(ramp(80, 40)[0, 1, top, 0]) for top in (0, 20, 40)]


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


def test_the_decoder_is_asked_for_what_is_needed_and_no_more():
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


def test_denormalizing_gives_the_pixels_back():
    clips = noise()[None].transpose(1, 2)
    assert torch.equal(denormalize(normalize(clips, SPEC), SPEC), clips)


def test_erasing_covers_a_box_in_all_frames():
    frames = noise()
    erased = pixels.random_erasing(frames, rng(), probability=1.0)
    covered = (erased != frames).any(dim=1)
    assert 0.01 < covered.float().mean() < 0.4
    assert torch.equal(pixels.random_erasing(frames, rng(), probability=0.0), frames)


def test_wrong_augmentations_are_refused():
    with pytest.raises(ValueError, match="flip"):
        Augment(flip=1.5)


def test_a_clip_has_one_time_for_each_frame():
    assert len(Clip(noise(), np.arange(4.0))) == 4
    with pytest.raises(ValueError, match="times"):
        Clip(noise(), np.arange(3.0))


def test_a_picture_turns_counter_clockwise_and_its_corners_take_the_mean_colour():
    frames = torch.zeros(2, 3, 33, 33, dtype=torch.uint8)
    frames[..., 14:19, 28:33] = 200  # on the right
    turned = pixels.rotate(frames, 90.0)
    assert (turned[..., 0:5, 14:19] == 200).all()  # on top
    assert turned.float().sum() == frames.float().sum()
    tilted = pixels.rotate(torch.full((1, 3, 32, 32), 90, dtype=torch.uint8), 30.0)
    assert (tilted == 90).all()


def test_training_turns_clips_by_no_more_than_asked():
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
