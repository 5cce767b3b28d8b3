"""Animated WebP, PNG and AVIF and TIFFs of several pages are videos; a still of these kinds has one frame."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kinema.errors import UnreadableVideo
from kinema.video import is_image, is_video, open_video

_TIMES_MS = [40, 40, 200, 40, 500, 40, 40, 40, 40, 60]


@pytest.fixture
def animation(tmp_path, draw_count):
    """Saves ten frames that show their numbers."""

    def save(name: str, **options: object):
        first, *others = [Image.fromarray(draw_count(index)) for index in range(10)]
        first.save(tmp_path / name, save_all=True, append_images=others, **options)
        return tmp_path / name

    return save


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.webp", {"lossless": True}),
        ("a.webp", {"quality": 90}),
        ("a.png", {}),
        ("a.apng", {"format": "PNG"}),
        ("a.png", {"disposal": 1, "blend": 1}),
        ("a.avif", {"quality": 90}),
    ],
)
def test_frames_and_times_of_an_animation(animation, name, options, read_count):
    path = animation(name, duration=_TIMES_MS, loop=0, **options)
    with open_video(path) as video:
        assert video.times_s == pytest.approx(np.cumsum([0, *_TIMES_MS[:-1]]) / 1000, abs=1e-3)
        assert video.info.duration_s == pytest.approx(sum(_TIMES_MS) / 1000, abs=1e-3)
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(10))
        assert [read_count(frame) for frame in video.frames_at([7, 2, 9, 2, 0])] == [7, 2, 9, 2, 0]
        assert [read_count(frame) for _, _, frame in video.iterate(stride=3)] == [0, 3, 6, 9]
        assert not video.damage


def test_an_animation_without_times_shows_each_frame_a_tenth_of_a_second(animation):
    with open_video(animation("a.png", duration=0)) as video:
        assert video.info.duration_s == pytest.approx(1)


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}])
def test_pages_of_a_tiff_are_frames_at_the_given_rate(animation, options, read_count):
    with open_video(animation("a.tif", **options), image_fps=10) as video:
        assert (len(video), video.info.fps, video.info.duration_s) == (10, pytest.approx(10), pytest.approx(1))
        assert [read_count(frame) for frame in video.frames_at([9, 0, 4])] == [9, 0, 4]


def test_small_copies_in_a_tiff_are_no_frames(tmp_path, draw_count, read_count):
    path = tmp_path / "photo.tif"
    photo = Image.fromarray(draw_count(5))
    small = photo.resize((24, 16))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    photo.save(path, save_all=True, append_images=[small])
    with open_video(path) as video:
        assert (len(video), read_count(video.frames_at([0])[0])) == (1, 5)


def test_the_still_that_some_animated_pngs_show_instead_is_no_frame(tmp_path, draw_count, read_count):
    path = tmp_path / "a.png"
    frames = [Image.fromarray(draw_count(index)) for index in range(1, 4)]
    Image.fromarray(draw_count(99)).save(path, save_all=True, append_images=frames, default_image=True, duration=50)
    with open_video(path) as video:
        assert [read_count(frame) for _, _, frame in video.iterate()] == [1, 2, 3]
        assert video.times_s == pytest.approx([0, 0.05, 0.1])


@pytest.mark.parametrize("ending", ["webp", "png", "tif", "avif"])
def test_a_still_stays_a_still(tmp_path, draw_count, ending):
    Image.fromarray(draw_count(5)).save(tmp_path / f"a.{ending}")
    with open_video(tmp_path / f"a.{ending}") as video:
        assert (len(video), video.times_s.tolist()) == (1, [0.0])
    assert is_image(f"a.{ending}")
    assert is_video("a.apng")


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.tif", "a.avif"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_an_animation_that_breaks_off_is_refused_or_told(animation, name, share, read_count):
    path = animation(name, **({} if name == "a.tif" else {"duration": 40}))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    try:
        video = open_video(path)
    except UnreadableVideo as error:
        opened = str(error)
    else:
        with video:
            seen = [(index, read_count(frame)) for index, _, frame in video.iterate()]
            assert video.num_damaged == len(video) - len(seen)
            assert all(index == number for index, number in seen)
            opened = video.damage
    assert opened


def test_files_are_closed(animation, open_files):
    path, before = animation("a.webp", duration=40), open_files()
    with open_video(path) as video:
        video.frames_at([3])
    assert open_files() == before
