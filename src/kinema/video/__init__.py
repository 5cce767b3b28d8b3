"""Files, folders, cameras and streams in; frames [t h w c] uint8 RGB out. No torch here."""

from __future__ import annotations

from kinema.video.contract import FastSeek, Size, Video
from kinema.video.listing import IMAGE_ENDINGS, VIDEO_ENDINGS, is_image, is_video, list_media
from kinema.video.reader import open_video
from kinema.video.stream import Stream, open_stream
from kinema.video.truncation import cut_off
from kinema.video.writer import VideoWriter

__all__ = [
    "IMAGE_ENDINGS",
    "VIDEO_ENDINGS",
    "FastSeek",
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
