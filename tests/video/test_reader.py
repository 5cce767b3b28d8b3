"""`open_video` opens files and folders, closes them, and refuses wrong options."""

from __future__ import annotations

import pytest

from kinema.errors import EmptyVideo, UsageError
from kinema.video import open_video


def test_a_folder_without_images_is_empty(tmp_path):
    with pytest.raises(EmptyVideo, match="no images"):
        open_video(tmp_path)


def test_wrong_choices_are_usage_errors(counting_video):
    with pytest.raises(UsageError, match="backend"):
        open_video(counting_video, backend="vhs")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="thread"):
        open_video(counting_video, threads=0)


@pytest.mark.parametrize("name", ["counting_video", "raw_video", "damaged_video", "still_image", "gif_video"])
def test_every_file_is_closed(name, request, open_files, packets_kept):
    path = request.getfixturevalue(name)
    before = open_files()
    for _ in range(3):
        with open_video(path) as video:
            video.frames_at([0])
            next(iter(video.iterate()))
        video.close()
    assert open_files() == before
