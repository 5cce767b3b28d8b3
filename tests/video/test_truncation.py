from __future__ import annotations

from pathlib import Path

from kinema.video import cut_off, open_video


def _cut_off(path: Path) -> str:
    with open_video(path) as video:
        return cut_off(video.info)


def test_a_video_whose_second_half_is_missing_says_where_it_breaks_off(tmp_path, mkv_video, write_frames, draw_count):
    path = write_frames(tmp_path / "cut.mkv", (draw_count(index) for index in range(60)), options={"g": "12"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert _cut_off(path).startswith("it breaks off at ")
    assert _cut_off(path).endswith("of 2.4 s")
    assert _cut_off(mkv_video) == ""  # its header promises nothing


def test_whole_videos_and_images_are_whole(
    counting_video, one_frame_video, vfr_video, edit_list_video, negative_video, gif_video, still_image, image_folder
):
    for path in (
        counting_video, one_frame_video, vfr_video, edit_list_video, negative_video, gif_video, still_image, image_folder
    ):  # fmt: skip
        assert _cut_off(path) == "", path
