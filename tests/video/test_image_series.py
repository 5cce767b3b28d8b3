"""Of the pictures in a folder, the frames of one video are taken; two videos in one folder are an error."""

from __future__ import annotations

import os

import pytest

from kinema.errors import UnreadableVideo
from kinema.video.image_series import frame_places, list_images


@pytest.fixture
def listed(tmp_path):
    """Lists a folder with empty files of some names."""

    def make(*names: str) -> list[str]:
        for name in names:
            (tmp_path / name).write_bytes(b"")
        return [os.path.basename(path) for path in list_images(tmp_path)]

    return make


def _series(pattern: str, count: int = 4, first: int = 1) -> list[str]:
    return [pattern.format(number) for number in range(first, first + count)]


def test_pictures_of_flow_beside_frames_are_left_out(listed):
    frames = _series("img_{:05}.jpg", 12)
    assert listed(*frames, *_series("flow_x_{:05}.jpg", 11), *_series("flow_y_{:05}.jpg", 11)) == frames


@pytest.mark.parametrize("other", ["flow_x_{:03}.jpg", "x_{}.jpg", "u{}.png", "optflow{:02}.png", "Flow-{}.png"])
def test_names_of_flow(listed, other):
    assert listed(*_series("f{:03}.jpg"), *_series(other)) == _series("f{:03}.jpg")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a_{}.png", "b_{}.png"),
        ("rgb_{:04}.png", "depth_{:04}.png"),
        ("cam1_{:03}.jpg", "cam2_{:03}.jpg"),
        ("flow_x_{}.jpg", "flow_y_{}.jpg"),
        ("img_{}.jpg", "img_{}_mask.png"),
    ],
)
def test_two_series_are_an_error(listed, one, other):
    with pytest.raises(
        UnreadableVideo, match=r"pictures of 2 kinds in one folder: .*\(4\).*\(4\): .*folder of its own"
    ):
        listed(*_series(one), *_series(other))


def test_one_number_twice_is_an_error(listed):
    with pytest.raises(UnreadableVideo, match=r"two pictures of one number, .*_2\.(png|jpg)"):
        listed(*_series("img_{}.jpg"), "img_2.png")


def test_a_picture_of_another_name_is_an_error_but_a_preview_is_left_out(listed):
    assert listed(*_series("img_{}.jpg", 8), "cover.jpg", "Thumb.png") == _series("img_{}.jpg", 8)
    with pytest.raises(UnreadableVideo, match=r"img_N \(8\), chart\.png"):
        listed("chart.png")


def test_numbers_count_and_not_letters(listed):
    assert listed(*_series("img_{}.png", 12)) == _series("img_{}.png", 12)


def test_mixed_endings_are_one_series(listed):
    assert listed("f_1.jpg", "f_2.PNG", "f_3.jpeg", "f_10.webp") == ["f_1.jpg", "f_2.PNG", "f_3.jpeg", "f_10.webp"]


def test_files_of_the_system_are_no_frames(listed, tmp_path):
    os.mkfifo(tmp_path / "img_9.png")
    (tmp_path / "img_8.png").mkdir()
    assert listed(*_series("img_{}.png"), "Thumbs.db", ".DS_Store", "._img_1.png", "desktop.ini") == _series(
        "img_{}.png"
    )


def test_names_without_a_pattern_and_clock_times_are_one_video(listed):
    assert listed("dawn.jpg", "noon.jpg", "dusk.jpg") == ["dawn.jpg", "dusk.jpg", "noon.jpg"]


def test_clock_times_are_one_video(listed):
    times = [f"2024-05-01T12-{minute:02}-{second:02}.jpg" for minute in range(3) for second in range(0, 60, 20)]
    assert listed(*times) == times


@pytest.mark.parametrize(
    ("numbers", "places"),
    [
        ([1, 2, 3, 4], [0, 1, 2, 3]),
        ([0, 5, 10, 15], [0, 1, 2, 3]),
        ([1, 2, 4, 5], [0, 1, 3, 4]),
        ([10, 20, 40, 50], [0, 1, 3, 4]),
        ([0, 33, 67, 100], [0, 1, 2, 3]),
        ([7], [0]),
    ],
)
def test_missing_numbers_leave_their_place_empty(numbers, places):
    assert frame_places([f"v/img_{number:05}.jpg" for number in numbers]).tolist() == places
