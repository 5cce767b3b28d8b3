"""`open_video`: open files, animated GIFs, stills and folders of images the same way."""

from __future__ import annotations

import os
from typing import Literal

from kinema.errors import EmptyVideo, UnreadableVideo, UsageError
from kinema.video.contract import Video
from kinema.video.image_folder import ImageFolder
from kinema.video.listing import is_image, list_images
from kinema.video.pyav_video import PyavVideo

Backend = Literal["auto", "pyav", "torchcodec"]


def open_video(
    path: str | os.PathLike[str], *, threads: int | None = None, backend: Backend = "auto", image_fps: float = 25.0
) -> Video:
    """Open a video file, an animated GIF, a still (one frame) or a folder of images (natural order).

    Args:
        path: the file or folder.
        threads: decoding threads; None chooses by frame size and length. Give 1 if several processes decode at once.
        backend: "auto" and "pyav" decode with PyAV, without torch. "torchcodec" decodes full-size frames with torchcodec,
            which must be installed and imports torch; the frames are the same.
        image_fps: frame rate of a folder of images.

    Raises:
        UnreadableVideo: not there, not a video, damaged, or no video track.
        EmptyVideo: there is no frame.
        MissingExtra: torchcodec was requested and cannot be used.
    """
    if backend not in ("auto", "pyav", "torchcodec"):
        raise UsageError(f"no video backend called {backend!r}", do="use auto, pyav or torchcodec")
    if threads is not None and threads < 1:
        raise UsageError(f"decoding needs at least one thread, got {threads}")
    if os.path.isdir(path):
        images = list_images(path)
        if not images:
            raise EmptyVideo("no images in this folder", path, "give a video file, or a folder of images")
        return ImageFolder(path, images, image_fps)
    if is_image(path):
        if os.path.exists(path) and os.path.getsize(path) == 0:
            raise UnreadableVideo("the file is empty", path, "copy or download it again")
        return ImageFolder(path, [os.fspath(path)], image_fps)
    if backend == "torchcodec":
        from kinema.video.torchcodec_video import TorchcodecVideo

        return TorchcodecVideo(path, threads)
    return PyavVideo(path, threads)
