"""Read images as videos: one image is a video of one frame, a folder of images one of many, in natural order.

Images are rotated by their EXIF orientation. They are read one at a time and resized to the size of the first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from kinema.errors import UnreadableVideo
from kinema.types import VideoInfo
from kinema.video.contract import Frame, Video

_ORIENTATION = 0x0112  # the EXIF tag of the camera's rotation


class ImageFolder(Video):
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
        with _open_image(self._files[0]) as image:
            width, height = image.size
            # A PNG may store EXIF data after its pixels. If they are damaged, `read_image` raises the error.
            with contextlib.suppress(OSError, SyntaxError, ValueError):
                if int(image.getexif().get(_ORIENTATION, 1)) >= 5:  # a quarter turn
                    width, height = height, width
        self.times_s = np.arange(len(files)) / fps
        self.info = VideoInfo(os.fspath(path), len(files), fps, len(files) / fps, height, width)

    def close(self) -> None:
        """Do nothing: no file stays open between frames."""

    def _read(self, indices: NDArray[np.int64], rows: NDArray[np.int64], out: Frame) -> None:
        for index, row in zip(indices, rows, strict=True):
            out[row] = read_image(self._files[index], *out.shape[1:3])

    def _stream(self, indices: range, height: int, width: int) -> Iterator[tuple[int, Frame]]:
        for index in indices:
            try:
                frame = read_image(self._files[index], height, width)
            except UnreadableVideo:
                continue
            yield index, frame


def read_image(path: str, height: int, width: int) -> Frame:
    """Read one image as a frame [h w c] uint8 RGB, rotated by its EXIF orientation and resized.

    Raises:
        UnreadableVideo: not an image, damaged, or of 32-bit values.
    """
    with _open_image(path) as image:
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
            raise _read_error(path) from error
        if upright.size != (width, height):
            upright = upright.resize((width, height), Image.Resampling.BILINEAR)
        return np.array(upright)


def _open_image(path: str) -> Image.Image:
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise UnreadableVideo("an image of more pixels than Pillow opens", path, "save a smaller one") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise _read_error(path) from error


def _read_error(path: str) -> UnreadableVideo:
    if not os.path.exists(path):
        return UnreadableVideo("no such image", path, "check the spelling of the path")
    return UnreadableVideo("not an image, or damaged", path, "copy or export it again")
