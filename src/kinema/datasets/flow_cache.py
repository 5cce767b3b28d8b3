"""Optical flow on disk: computed once a video, method and size, read at random afterwards.

One file a video, named after path, `file_state`, decode size and method: the fields of all frames as grey JPEG
pictures (see `kinema.video.flow`), one after the other, then a table. The table comes last because nothing is kept in
memory while a film goes by; the file appears under its name when it is whole, or not at all. So a run that was killed
goes on with the next video, and several processes may fill one folder: the last rename wins, with equal content.

    magic, pictures …, [n] offsets and [1] end, [n] frame numbers, [n] times, width, n
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from kinema.clips.flow import measure
from kinema.datasets.cache import file_state
from kinema.datasets.dataset import DataSet
from kinema.errors import OutputError, UnreadableVideo
from kinema.files import check_folder, whole_file
from kinema.types import FLOW_MOST_PX, InputSpec
from kinema.video import Size, Video, open_video
from kinema.video.flow import JPEG_QUALITY, check_method, decode, encode, follow

FOLDER = os.path.join(".kinema", "flow")
"""Where a data set's flow lies unless told otherwise, beside its videos."""

_MAGIC = b"kinema flow 1\n"
_TAIL = struct.Struct("<QQ")


class KeptFlow:
    """The flow of one video on disk.

    Attributes:
        numbers: [n] of the file's frames whose flow is known, ascending.
        times_s: [n] when they are shown.
    """

    def __init__(self, path: Path) -> None:
        """Read the table. Raises OSError or ValueError where the file is not there or damaged."""
        self.path = path
        with open(path, "rb") as file:
            self._offsets, self.numbers, self.times_s, self._width = _read_table(file)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The fields [k h w 2] of some rows, in any order; `quantise` says what their values mean.

        Raises:
            UnreadableVideo: the file is damaged.
        """
        unique, places = np.unique(rows, return_inverse=True)
        try:
            with open(self.path, "rb") as file:
                fields = [decode(self._data(file, int(row)), self._width) for row in unique]
        except ValueError as error:
            raise UnreadableVideo("damaged optical flow", self.path, "delete this file") from error
        return np.stack(fields)[places]

    def _data(self, file: BinaryIO, row: int) -> bytes:
        start, end = self._offsets[row : row + 2].tolist()
        file.seek(start)
        return file.read(end - start)


class FlowCache:
    """Flow of whole videos, kept in a folder.

    Args:
        folder: where the files lie; it is made when the first one is written. Delete it at any time.
        method: see `InputSpec.flow`. Flow of another method is never found here: the name of a file depends on it.

    Raises:
        MissingExtra: a package is not there.
        OutputError: nothing may be written there.
    """

    def __init__(self, folder: str | os.PathLike[str], method: str) -> None:
        self.folder, self.method = Path(folder), method
        check_method(method)
        try:
            check_folder(self.folder)
        except OutputError as error:
            raise OutputError("optical flow cannot be kept here", error.where, "give --flow-cache FOLDER") from error

    def read(self, path: str, size: Size) -> KeptFlow:
        """The flow of a video; the first call computes it.

        Raises:
            UnreadableVideo: it cannot be decoded.
            EmptyVideo: there is no frame in it.
            OutputError: the cache cannot be written.
        """
        return self.found(path, size) or self._computed(path, size)

    def found(self, path: str, size: Size) -> KeptFlow | None:
        """What is there already; a damaged file counts as none.

        Raises:
            UnreadableVideo: there is no such video.
        """
        try:
            return KeptFlow(self.place(path, size))
        except (OSError, ValueError):
            return None

    def place(self, path: str, size: Size) -> Path:
        """The file for a video."""
        state = (os.path.abspath(path), *file_state(path), size, self.method, JPEG_QUALITY, FLOW_MOST_PX)
        key = hashlib.sha256(repr(state).encode()).hexdigest()[:32]
        return self.folder / key[:2] / f"{key}.flow"

    def _computed(self, path: str, size: Size) -> KeptFlow:
        place = self.place(path, size)
        with open_video(path, threads=1) as video, whole_file(place) as temporary, open(temporary, "wb") as file:
            _write(file, video, size, self.method)
        return KeptFlow(place)


def open_flow_cache(folder: str | None, data: DataSet, spec: InputSpec) -> FlowCache | None:
    """The cache for a data set, in `folder` or where it lies by default; None where a network sees no flow."""
    return FlowCache(folder or default_folder(data), spec.flow) if spec.has_flow else None


def default_folder(data: DataSet) -> Path:
    """Where the flow of a data set lies: in the nearest `.kinema/flow` above its videos, else beside where it was opened.

    The part that a run kept back is opened from a list of its own; so it finds the flow of the whole.
    """
    videos = Path(os.path.commonpath([os.path.dirname(os.path.abspath(example.path)) for example in data.examples]))
    there = next((place / FOLDER for place in (videos, *videos.parents) if (place / FOLDER).is_dir()), None)
    root = Path(data.root)
    return there or (root if root.is_dir() else root.absolute().parent) / FOLDER


def _write(file: BinaryIO, video: Video, size: Size, method: str) -> None:
    frames = ((number, frame) for number, _, frame in video.iterate(size))
    offsets, numbers, width = [file.write(_MAGIC)], [], 0
    for number, _, field in follow(frames, video.info.num_frames, measure(method)):
        offsets.append(offsets[-1] + file.write(encode(field)))
        numbers.append(number)
        width = field.shape[1]
    if not numbers:
        raise UnreadableVideo("no two frames of this video can be decoded", video.info.path, "export it again")
    table: Sequence[NDArray[np.generic]] = (np.array(offsets), np.array(numbers), video.times_s[numbers])
    for column, kind in zip(table, ("<i8", "<i8", "<f8"), strict=True):
        file.write(column.astype(kind).tobytes())
    file.write(_TAIL.pack(width, len(numbers)))


def _read_table(file: BinaryIO) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], int]:
    """Offsets [n + 1], numbers [n], times [n] and the width of the fields."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("not a file of optical flow")
    end = file.seek(0, os.SEEK_END) - _TAIL.size
    file.seek(max(end, 0))
    width, count = _TAIL.unpack(file.read(_TAIL.size).ljust(_TAIL.size, b"\0"))
    start = end - 8 * (3 * count + 1)
    if start < len(_MAGIC) or not count:
        raise ValueError("a file of optical flow that was cut off")
    file.seek(start)
    offsets = np.frombuffer(file.read(8 * (count + 1)), "<i8")
    numbers = np.frombuffer(file.read(8 * count), "<i8")
    times_s = np.frombuffer(file.read(8 * count), "<f8")
    if offsets[0] != len(_MAGIC) or offsets[-1] != start:
        raise ValueError("a file of optical flow that was cut off")
    return offsets, numbers, times_s, width
