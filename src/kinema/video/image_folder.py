"""Still pictures as videos: one picture is a video of one frame, a folder of pictures one of many, in natural order.

Pictures are turned upright by their EXIF note. They are read one at a time; all are resized to the size of the first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from kinema.errors import UnreadableVideo
from kinema.types import VideoInfo
from kinema.video.contract import Frame, Video

_ORIENTATION = 0x0112  # the EXIF note on how the camera was held


class Pictures(Video):
    """Picture files shown one after the other.

    Args:
        path: what the user asked for, a picture or a folder.
        files: the pictures in order, at least one.
        fps: pictures a second.

    Raises:
        UnreadableVideo: the first picture cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], files: Sequence[str], fps: float = 25.0) -> None:
        self._files = list(files)
        with _opened(self._files[0]) as picture:
            lying = _orientation(picture) >= 5  # a quarter turn
            width, height = picture.size[::-1] if lying else picture.size
        self.times_s = np.arange(len(files)) / fps
        self.info = VideoInfo(os.fspath(path), len(files), fps, len(files) / fps, height, width)

    def close(self) -> None:
        """Nothing is held open between frames."""

    def _read(self, indices: NDArray[np.int64], rows: NDArray[np.int64], out: Frame) -> None:
        for index, row in zip(indices, rows, strict=True):
            out[row] = read_picture(self._files[index], *out.shape[1:3])

    def _stream(self, indices: range, height: int, width: int) -> Iterator[tuple[int, Frame]]:
        for index in indices:
            try:
                frame = read_picture(self._files[index], height, width)
            except UnreadableVideo:
                continue
            yield index, frame


def read_picture(path: str, height: int, width: int) -> Frame:
    """One picture [h w c], upright, resized.

    Raises:
        UnreadableVideo: not a picture, or damaged.
    """
    with _opened(path) as picture:
        picture.draft(
            "RGB", (2 * max(height, width), 2 * max(height, width))
        )  # large JPEGs shrink while they are decoded
        try:
            upright = _coloured(ImageOps.exif_transpose(picture), path)
        except (OSError, SyntaxError, ValueError) as error:
            raise _error(path) from error
        if upright.size != (width, height):
            upright = upright.resize((width, height), Image.Resampling.BILINEAR)
        return np.array(upright)


def _coloured(picture: Image.Image, path: str) -> Image.Image:
    """In RGB, 8 bits a colour; Pillow would make all that is brighter than 255 white."""
    if picture.mode in ("I", "F"):
        do = "save its values as 8 or 16 bits, with the range that matters"
        raise UnreadableVideo("a picture of 32-bit values, whose white is anyone's guess", path, do)
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return picture.convert("RGB")


def _opened(path: str) -> Image.Image:
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise UnreadableVideo("a picture of more pixels than Pillow opens", path, "save a smaller one") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise _error(path) from error


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except (
        OSError,
        SyntaxError,
        ValueError,
    ):  # a PNG may keep it behind the pixels: reading will say
        return 1


def _error(path: str) -> UnreadableVideo:
    if not os.path.exists(path):
        return UnreadableVideo("no such picture", path, "check the spelling of the path")
    return UnreadableVideo("not a picture, or damaged", path, "copy or export it again")
