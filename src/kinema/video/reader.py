"""`open_video`: open files, animated images, stills and folders of images the same way."""

from __future__ import annotations

import os
from typing import Literal

from kinema.errors import EmptyVideo, UnreadableVideo, UsageError
from kinema.types import IMAGE_FPS
from kinema.video.animated_image import open_image_file
from kinema.video.contract import Video
from kinema.video.image_folder import ImageFolder
from kinema.video.image_series import list_images
from kinema.video.listing import is_image, is_video
from kinema.video.pyav_video import PyavVideo
from kinema.video.refusals import refusal

Backend = Literal["auto", "pyav", "torchcodec"]


def open_video(
    path: str | os.PathLike[str], *, threads: int | None = None, backend: Backend = "auto", image_fps: float = IMAGE_FPS
) -> Video:
    """Open a video file, an animated image (GIF, WebP, PNG, AVIF, TIFF), a still (one frame) or a folder of images.

    Args:
        path: the file or folder.
        threads: decoding threads; None chooses by frame size and length. Give 1 if several processes decode at once.
        backend: "auto" and "pyav" decode with PyAV, without torch. "torchcodec" decodes full-size frames with torchcodec,
            which must be installed and imports torch; the frames are the same.
        image_fps: frame rate of a folder of images, and of a file of several images without times (TIFF).

    Raises:
        UnreadableVideo: not there, not a video, damaged, or no video track.
        EmptyVideo: there is no frame.
        MissingExtra: torchcodec was requested and cannot be used.
    """
    if backend not in ("auto", "pyav", "torchcodec"):
        raise UsageError(f"no video backend called {backend!r}", do="use auto, pyav or torchcodec")
    if threads is not None and threads < 1:
        raise UsageError(f"decoding needs at least one thread, got {threads}")
    if (error := refusal(path)) is not None:
        raise error
    if os.path.isdir(path):
        return ImageFolder(path, _images_of(path), image_fps)
    if is_image(path) or os.fspath(path).lower().endswith(".apng"):
        return open_image_file(os.fspath(path), image_fps)
    if backend == "torchcodec":
        from kinema.video.torchcodec_video import TorchcodecVideo

        return TorchcodecVideo(path, threads)
    return PyavVideo(path, threads)


def takes_image_fps(path: str | os.PathLike[str]) -> bool:
    """Whether the times of a video are those of `image_fps`: a folder of images, or a TIFF."""
    return os.path.isdir(path) or os.fspath(path).lower().endswith((".tif", ".tiff"))


def _images_of(folder: str | os.PathLike[str]) -> list[str]:
    images = list_images(folder)
    if images:
        return images
    if any(map(is_video, os.listdir(folder))):
        do = "give one of them, or `kinema predict FOLDER` for all"
        raise UnreadableVideo("a folder of videos, not a video", folder, do)
    raise EmptyVideo("no images in this folder", folder, "give a video file, or a folder of images")
