"""Files that hold several images as videos: animated WebP, PNG and AVIF with their times, TIFF with a page for each frame.

Pillow puts together frames that store only what changed. (Animated GIFs are read with FFmpeg, as other videos are.)
"""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from kinema.errors import UnreadableVideo
from kinema.types import VideoInfo
from kinema.video.contract import Frame, Video
from kinema.video.image_folder import ImageFolder, ImageVideo, open_image, read_error, to_frame, upright_size

_ANIMATED = frozenset({"AVIF", "GIF", "PNG", "TIFF", "WEBP"})  # not JPEG: a phone's second image is of another kind
_SUBFILE_TYPE, _COPY_OR_MASK = 254, 5  # TIFF tag, and its bits, of pages that are a small copy or a mask of another
_MOST_TAGS = 1 << 16
_SHORTEST_S, _UNSTATED_S = 0.005, 0.1  # browsers show a frame of no stated time so long
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError)


def open_image_file(path: str, fps: float) -> Video:
    """A file of one image or several.

    Args:
        path: the file.
        fps: frame rate, if the file states no times.

    Raises:
        UnreadableVideo: not an image.
    """
    with open_image(path) as image:
        pages, whole = _pages(image, path) if image.format in _ANIMATED else ([0], True)
    if len(pages) == 1 and whole:
        return ImageFolder(path, [path], fps)
    return AnimatedImage(path, pages, fps, whole)


class AnimatedImage(ImageVideo):
    """The images of one file as the frames of a video.

    Args:
        path: the file.
        pages: number of each frame's image in the file, at least one.
        fps: frame rate, if the file states no times.
        whole: whether the file has all images that it names.

    Raises:
        UnreadableVideo: the first image cannot be read.
    """

    def __init__(self, path: str, pages: list[int], fps: float, whole: bool) -> None:
        super().__init__()
        self._fault = "" if whole else "the file breaks off"
        self._path, self._pages, self._image = path, pages, open_image(path)
        try:
            self._image.seek(pages[0])
            width, height = upright_size(self._image)
            durations_s = [1 / fps] * len(pages) if self._image.format == "TIFF" else self._durations_s()
        except _DAMAGED as error:
            self.close()
            raise read_error(path) from error
        ends_s = np.cumsum(durations_s)
        self.times_s = np.concatenate([[0.0], ends_s[:-1]])
        duration_s = float(ends_s[-1])
        self.info = VideoInfo(path, len(pages), len(pages) / duration_s, duration_s, height, width)

    def _durations_s(self) -> list[float]:
        """Display time of each frame; frames behind a damaged one have that of the frame before."""
        found: list[float] = []
        for page in self._pages:
            try:
                self._image.seek(page)
                self._image.load()  # WebP and AVIF know the time only then
            except _DAMAGED:
                if not found:
                    raise
                return found + found[-1:] * (len(self._pages) - len(found))
            stated_s = float(self._image.info.get("duration", 0)) / 1000
            found.append(stated_s if stated_s > _SHORTEST_S else _UNSTATED_S)
        return found

    def close(self) -> None:
        """Close the file."""
        self._image.close()

    def _frame(self, index: int, height: int, width: int) -> Frame:
        try:
            self._image.seek(self._pages[index])
        except _DAMAGED as error:
            raise UnreadableVideo("the file is damaged", f"{self._path} frame {index}", "export it again") from error
        return to_frame(self._image, self._path, height, width)


def _pages(image: Image.Image, path: str) -> tuple[list[int], bool]:
    """Numbers of a file's images that are frames, and whether they are all there.

    Neither the still that some PNGs show instead of their animation nor a TIFF's small copies and masks are frames.
    """
    if image.format == "TIFF":
        return _pages_of_tiff(path)
    try:
        first = int(image.format == "PNG" and bool(image.info.get("default_image")))
        return list(range(first, getattr(image, "n_frames", 1))), True
    except _DAMAGED as error:
        raise read_error(path) from error


def _pages_of_tiff(path: str) -> tuple[list[int], bool]:
    """See `_pages`. Reads the chain of directories, of which each names the next (TIFF 6.0, section 2, and BigTIFF)."""
    pages, seen, number = [], set(), 0
    with open(path, "rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        is_big = struct.unpack(f"{order}H", head[2:4])[0] == 43
        count_of, offset_of, entry_size = ("Q", "Q", 20) if is_big else ("H", "I", 12)

        def read(kind: str) -> int:
            return int(struct.unpack(f"{order}{kind}", file.read(struct.calcsize(f"={kind}")))[0])

        file.seek(8 if is_big else 4)
        try:
            while (place := read(offset_of)) and place not in seen:
                seen.add(place)
                file.seek(place)
                is_frame = True
                for _ in range(min(read(count_of), _MOST_TAGS)):
                    entry = file.read(entry_size)
                    tag, _, _, value = struct.unpack(f"{order}HH{offset_of}I", entry[: entry_size - 4 * is_big])
                    is_frame = is_frame and not (tag == _SUBFILE_TYPE and value & _COPY_OR_MASK)
                pages += [number] if is_frame else []
                number += 1
        except struct.error:
            return pages or [0], False
    return pages or [0], True
