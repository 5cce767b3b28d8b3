"""Stills and folders of images are videos too."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from kinema.errors import UnreadableVideo
from kinema.video import open_video


def test_a_still_is_a_video_of_one_frame(still_image, read_count):
    with open_video(still_image) as video:
        assert (len(video), video.info.height, video.info.width) == (1, 64, 96)
        assert read_count(video.frames_at([0])[0]) == 7
        assert [(index, time_s) for index, time_s, _ in video.iterate()] == [(0, 0.0)]


@pytest.mark.parametrize("ending", ["jpg", "webp", "bmp", "png"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_kinds_of_stills(tmp_path, draw_count, read_count, ending, mode):
    if (ending, mode) == ("jpg", "RGBA"):
        pytest.skip("JPEG knows no transparency")
    path = tmp_path / f"still.{ending}"
    Image.fromarray(draw_count(1365)).convert(mode).save(path)
    with open_video(path) as video:
        assert read_count(video.frames_at([0], 32)[0]) == 1365


def test_exif_rotation_is_applied(tmp_path, draw_count, read_count):
    path = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(draw_count(1365)).copy()).save(path, exif=exif)
    with open_video(path) as video:
        assert (video.info.height, video.info.width) == (64, 96)
        assert read_count(video.frames_at([0])[0]) == 1365


def test_a_folder_shows_its_images_in_natural_order(image_folder, read_count):
    with open_video(image_folder, image_fps=10) as video:
        assert video.info.fps == 10
        assert video.times_s[-1] == pytest.approx(1.1)
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(12))


def test_damaged_images_are_left_out_or_named(image_folder, tmp_path, caplog):
    folder = tmp_path / "images"
    shutil.copytree(image_folder, folder)
    (folder / "frame_5.png").write_bytes(b"no image")
    with open_video(folder) as video, caplog.at_level(logging.WARNING, logger="kinema"):
        assert [index for index, _, _ in video.iterate()] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
        assert video.num_damaged == 1
        assert "1 of 12" in caplog.text
        with pytest.raises(UnreadableVideo, match="frame_5"):
            video.frames_at([4])


@pytest.mark.parametrize(("content", "words"), [(b"", "empty"), (b"words", "not an image")])
def test_what_is_no_image_is_named(tmp_path, content, words):
    path = tmp_path / "still.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableVideo, match=words):
        open_video(path)


def test_a_image_that_breaks_off_is_unreadable(tmp_path, draw_count):
    path = tmp_path / "cut.png"
    Image.fromarray(draw_count(3)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with open_video(path) as video, pytest.raises(UnreadableVideo, match=r"cut\.png"):
        video.frames_at([0])


def test_a_missing_still_is_named(tmp_path):
    with pytest.raises(UnreadableVideo, match="no such file or folder"):
        open_video(tmp_path / "gone.png")


def test_images_of_16_bits_keep_their_shades(tmp_path):
    """As thermal and depth cameras write them."""
    path = tmp_path / "thermal.png"
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    Image.fromarray(np.repeat(ramp[:, None], 48, 1)).save(path)
    with open_video(path) as video:
        seen = video.frames_at([0])[0]
    np.testing.assert_array_equal(seen, np.broadcast_to((ramp >> 8)[:, None, None], seen.shape))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_images_without_a_known_range_are_refused(tmp_path, kind):
    path = tmp_path / "depth.tif"
    Image.fromarray(np.zeros((8, 8), kind)).save(path)
    with (
        open_video(path) as video,
        pytest.raises(UnreadableVideo, match=r"32-bit values.*depth.tif: save its values as"),
    ):
        video.frames_at([0])


def test_a_image_too_large_for_pillow_is_one_clear_line(tmp_path, monkeypatch):
    path = tmp_path / "huge.png"
    Image.new("L", (400, 400)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableVideo, match=r"more pixels than Pillow opens.*huge.png: save a smaller one"):
        open_video(path)


def test_missing_numbers_keep_the_times_of_the_others(image_folder, tmp_path, read_count):
    shutil.copytree(image_folder, tmp_path / "gap", ignore=lambda *_: {"frame_4.png", "frame_7.png"})
    with open_video(tmp_path / "gap") as video:
        assert [read_count(frame) for _, _, frame in video.iterate()] == [0, 1, 2, 4, 5, 7, 8, 9, 10, 11]
        assert video.times_s[[2, 3, -1]] == pytest.approx([2 / 25, 4 / 25, 11 / 25])
        assert (video.info.duration_s, video.num_damaged) == (12 / 25, 0)
        assert video.damage == "2 numbers are missing in the names of the frames"


def test_frames_of_another_size_are_told(image_folder, tmp_path):
    shutil.copytree(image_folder, tmp_path / "sizes")
    Image.new("RGB", (30, 30)).save(tmp_path / "sizes" / "frame_3.png")
    with open_video(tmp_path / "sizes") as video:
        assert all(frame.shape == (64, 96, 3) for _, _, frame in video.iterate())
        assert video.damage == "1 frame has another size than the first"
