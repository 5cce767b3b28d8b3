from __future__ import annotations

from kinema.datasets import open_data


def test_videos_among_stills_are_counted(touch, caplog):
    open_data(touch("a/1.jpg", "b/2.png", "b/3.mp4", "c/4.mp4"), format="stills")
    assert "left out 1 class folders without an image: c" in caplog.text
    assert "left out 2 files that are no image by their endings: 2 .mp4" in caplog.text


def test_images_in_class_folders_are_stills(touch):
    data = open_data(touch("train/a/1.jpg", "train/a/2.png", "train/b/1.jpg"))
    assert data.counts() == {"a": 2, "b": 1}
