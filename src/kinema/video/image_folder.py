"""Read images as videos: one image is a video of one frame, a folder of images one of many, in natural order.

Images are rotated by their EXIF orientation. They are read one at a time and resized to the size of the first; `damage` tells of
others, and of numbers that are missing in the names. `animated_image` reads files that hold several images.
"""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from kinema.errors import UnreadableVideo
from kinema.types import VideoInfo
from kinema.video.contract import Frame, Video
from kinema.video.image_series import frame_places

_ORIENTATION = 0x0112  # the EXIF tag of the camera's rotation


class ImageVideo(Video):
    """A video whose frames are images that are read one by one."""

    @abc.abstractmethod
    def _frame(self, index: int, height: int, width: int) -> Frame:
        """Read a frame; raises `UnreadableVideo`."""

    def _read(self, indices: NDArray[np.int64], rows: NDArray[np.int64], out: Frame) -> None:
        for index, row in zip(indices.tolist(), rows.tolist(), strict=True):
            out[row] = self._frame(index, *out.shape[1:3])

    def _stream(self, indices: range, height: int, width: int) -> Iterator[tuple[int, Frame]]:
        for index in indices:
            try:
                frame = self._frame(index, height, width)
            except UnreadableVideo:
                continue
            yield index, frame


class ImageFolder(ImageVideo):
    """Image files as the frames of a video.

    Args:
        path: the image or folder that the user named.
        files: the image files in order, at least one.
        fps: images per second.

    Raises:
        UnreadableVideo: the first image cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], files: Sequence[str], fps: float = 25.0) -> None:
        super().__init__()
        self._files = list(files)
        with open_image(self._files[0]) as image:
            width, height = upright_size(image)
        places = frame_places(files)
        self.times_s = places / fps
        num_missing = int(places[-1]) + 1 - len(files)
        self._fault = f"{num_missing} numbers are missing in the names of the frames" if num_missing else ""
        self._others: set[int] = set()  # frames of another size
        self.info = VideoInfo(os.fspath(path), len(files), fps, (float(places[-1]) + 1) / fps, height, width)

    @property
    def damage(self) -> str:
        """See `Video.damage`; also tells of frames met so far that have another size than the first."""
        others = len(self._others)
        words = f"{others} frame{'s have' if others > 1 else ' has'} another size than the first" if others else ""
        return " and ".join(filter(None, (super().damage, words)))

    def close(self) -> None:
        """Do nothing: no file stays open between frames."""

    def _frame(self, index: int, height: int, width: int) -> Frame:
        with open_image(self._files[index]) as image:
            if upright_size(image) != (self.info.width, self.info.height):
                self._others.add(index)
            return to_frame(image, self._files[index], height, width)


def to_frame(image: Image.Image, path: str, height: int, width: int) -> Frame:
    """The pixels of an open image as a frame [h w c] uint8 RGB, rotated by its EXIF orientation and resized.

    Raises:
        UnreadableVideo: damaged, or of 32-bit values.
    """
    # Large JPEGs are scaled down while they are decoded.
    image.draft("RGB", (2 * max(height, width), 2 * max(height, width)))
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("I", "F"):
            do = "save its values as 8 or 16 bits, scaled to the range that matters"
            raise UnreadableVideo("an image of 32-bit values, whose range is unknown", path, do)
        if upright.mode.startswith("I;16"):  # Pillow would clip all values above 255 to white
            upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
        upright = upright.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise read_error(path) from error
    if upright.size != (width, height):
        upright = upright.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(upright)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image after its EXIF rotation."""
    width, height = image.size
    # A PNG may store EXIF data after its pixels. If they are damaged, `to_frame` raises the error.
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        if int(image.getexif().get(_ORIENTATION, 1)) >= 5:  # a quarter turn
            width, height = height, width
    return width, height


def open_image(path: str) -> Image.Image:
    """Open an image with Pillow; its pixels are not read yet.

    Raises:
        UnreadableVideo: not an image, or too large.
    """
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise UnreadableVideo("an image of more pixels than Pillow opens", path, "save a smaller one") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise read_error(path) from error


def read_error(path: str) -> UnreadableVideo:
    """The error for an image that cannot be read."""
    if not os.path.exists(path):
        return UnreadableVideo("no such image", path, "check the spelling of the path")
    return UnreadableVideo("not an image, or damaged", path, "copy or export it again")
