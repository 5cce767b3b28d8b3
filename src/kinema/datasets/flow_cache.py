"""Optical flow on disk: computed once for each video, method and size, then read at random.

One file for each video, named after path, `file_state`, decode size and method: the flow fields of all frames as grey JPEG images
(see `kinema.video.flow`), one after the other, then a table. The table is last so that no field has to be kept in memory while
the video is decoded. The file appears under its name when it is complete, or not at all: a run that was killed resumes with
the next video, and several processes may fill one folder (the last rename wins, with equal content).

    magic, images …, [n] offsets and [1] end, [n] frame numbers, [n] times, width, n
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
"""The default folder of a data set's flow, beside its videos."""

_MAGIC = b"kinema flow 1\n"
_TAIL = struct.Struct("<QQ")


class KeptFlow:
    """The flow of one video on disk.

    Attributes:
        numbers: ascending numbers of the frames whose flow is known [n].
        times_s: their display times [n].
    """

    def __init__(self, path: Path) -> None:
        """Read the table. Raises OSError or ValueError if the file is missing or damaged."""
        self.path = path
        with open(path, "rb") as file:
            self._offsets, self.numbers, self.times_s, self._width = _read_table(file)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The flow fields [k h w 2] of some rows, in any order, as `kinema.video.flow.quantise` stores them.

        Raises:
            UnreadableVideo: the file is damaged.
        """
        unique, inverse = np.unique(rows, return_inverse=True)
        fields = []
        try:
            with open(self.path, "rb") as file:
                for row in unique.tolist():
                    start, end = self._offsets[row : row + 2].tolist()
                    file.seek(start)
                    fields.append(decode(file.read(end - start), self._width))
        except ValueError as error:
            raise UnreadableVideo("damaged optical flow", self.path, "delete this file") from error
        return np.stack(fields)[inverse]


class FlowCache:
    """Flow of whole videos, kept in a folder.

    Args:
        folder: folder of the files, made when the first one is written. It can be deleted at any time.
        method: see `InputSpec.flow`. Names of files depend on it, so flow of another method is never found.

    Raises:
        MissingExtra: the package of the method is not installed.
        OutputError: the folder is not writable.
    """

    def __init__(self, folder: str | os.PathLike[str], method: str) -> None:
        self.folder, self.method = Path(folder), method
        check_method(method)
        try:
            check_folder(self.folder)
        except OutputError as error:
            raise OutputError("optical flow cannot be cached here", error.where, "give --flow-cache FOLDER") from error

    def read(self, path: str, size: Size) -> KeptFlow:
        """The flow of a video; the first call computes it.

        Raises:
            UnreadableVideo: it cannot be decoded.
            EmptyVideo: it has no frame.
            OutputError: the cache cannot be written.
        """
        if found := self.found(path, size):
            return found
        place = self.place(path, size)
        with open_video(path, threads=1) as video, whole_file(place) as temporary, open(temporary, "wb") as file:
            _write_flow(file, video, size, self.method)
        return KeptFlow(place)

    def found(self, path: str, size: Size) -> KeptFlow | None:
        """The cached flow of a video; None if it is missing or damaged.

        Raises:
            UnreadableVideo: there is no such video.
        """
        try:
            return KeptFlow(self.place(path, size))
        except (OSError, ValueError):
            return None

    def place(self, path: str, size: Size) -> Path:
        """The file of a video's flow, whether it exists or not."""
        state = (os.path.abspath(path), *file_state(path), size, self.method, JPEG_QUALITY, FLOW_MOST_PX)
        key = hashlib.sha256(repr(state).encode()).hexdigest()[:32]
        return self.folder / key[:2] / f"{key}.flow"


def open_flow_cache(folder: str | None, data: DataSet, spec: InputSpec) -> FlowCache | None:
    """The flow cache of a data set, in `folder` or the default one; None for a network without flow input."""
    return FlowCache(folder or default_folder(data), spec.flow) if spec.has_flow else None


def default_folder(data: DataSet, name: str = FOLDER) -> Path:
    """The nearest `.kinema/flow` above the videos of a data set; if there is none, beside the place where it was opened.

    So a part of a data set that is opened by a list elsewhere, such as a run's split.csv, finds the flow of the whole. `name` is
    that of another folder for the same purpose.
    """
    videos = Path(os.path.commonpath([os.path.dirname(os.path.abspath(example.path)) for example in data.examples]))
    existing = next((place / name for place in (videos, *videos.parents) if (place / name).is_dir()), None)
    root = Path(data.root)
    return existing or (root if root.is_dir() else root.absolute().parent) / name


def _write_flow(file: BinaryIO, video: Video, size: Size, method: str) -> None:
    frames = ((number, frame) for number, _, frame in video.iterate(size))
    offsets, numbers, width = [file.write(_MAGIC)], [], 0
    for number, _, field in follow(frames, video.info.num_frames, measure(method)):
        offsets.append(offsets[-1] + file.write(encode(field)))
        numbers.append(number)
        width = field.shape[1]
    if not numbers:
        what = "no two consecutive frames of this video can be decoded"
        raise UnreadableVideo(what, video.info.path, "export it again")
    table: Sequence[NDArray[np.generic]] = (np.array(offsets), np.array(numbers), video.times_s[numbers])
    for column, kind in zip(table, ("<i8", "<i8", "<f8"), strict=True):
        file.write(column.astype(kind).tobytes())
    file.write(_TAIL.pack(width, len(numbers)))


def _read_table(file: BinaryIO) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], int]:
    """Offsets [n + 1], frame numbers [n], times [n] and the width of the fields."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("no file of optical flow")
    end = file.seek(0, os.SEEK_END) - _TAIL.size
    file.seek(max(end, 0))
    width, count = _TAIL.unpack(file.read(_TAIL.size).ljust(_TAIL.size, b"\0"))
    start = end - 8 * (3 * count + 1)
    if start < len(_MAGIC) or not count:
        raise ValueError("truncated file of optical flow")
    file.seek(start)
    offsets = np.frombuffer(file.read(8 * (count + 1)), "<i8")
    numbers = np.frombuffer(file.read(8 * count), "<i8")
    times_s = np.frombuffer(file.read(8 * count), "<f8")
    if offsets[0] != len(_MAGIC) or offsets[-1] != start:
        raise ValueError("truncated file of optical flow")
    return offsets, numbers, times_s, width
