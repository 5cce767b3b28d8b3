"""Read files, folders, cameras and streams as frames [t h w c] uint8 RGB, and write them. This package needs no torch."""

from __future__ import annotations

from kinema.video.contract import Size, Video
from kinema.video.listing import IMAGE_ENDINGS, VIDEO_ENDINGS, is_image, is_video, list_media
from kinema.video.reader import open_video
from kinema.video.stream import Stream, open_stream
from kinema.video.truncation import cut_off
from kinema.video.writer import VideoWriter

__all__ = [
    "IMAGE_ENDINGS",
    "VIDEO_ENDINGS",
    "Size",
    "Stream",
    "Video",
    "VideoWriter",
    "cut_off",
    "is_image",
    "is_video",
    "list_media",
    "open_stream",
    "open_video",
]
