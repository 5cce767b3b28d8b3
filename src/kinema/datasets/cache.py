"""Decoded frames on disk: a video is decoded once, at the decode size of the training, and memory-mapped afterwards.

Two .npy files for each video, named after path, `file_state` and decode size. `….times.npy` is written before `….npy`, so that
the latter exists only if both are complete. Several processes may fill one folder: each writes its own temporary file, and
the last rename wins with equal content. Frames are written and not memory-mapped while they are decoded: a full disk then raises
an error instead of SIGBUS, and memory stays constant however long the video is.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from kinema.errors import UnreadableVideo
from kinema.files import whole_file
from kinema.video import Size, Video, open_video
from kinema.video.image_series import list_images

Frames = NDArray[np.uint8]
Times = NDArray[np.float64]

_log = logging.getLogger("kinema")


class FrameCache:
    """Frames of whole videos in a folder, which is made when the first one is written and can be deleted at any time."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def read(self, path: str, size: Size) -> tuple[Frames, Times]:
        """All frames of a video [n h w c], memory-mapped, and their times [n] in seconds.

        The first call decodes the video. Frames that cannot be decoded are left out, with their times.

        Raises:
            UnreadableVideo: it cannot be decoded.
            EmptyVideo: it has no frame.
            OutputError: the cache cannot be written.
        """
        key = hashlib.sha256(repr((os.path.abspath(path), *file_state(path), size)).encode()).hexdigest()[:32]
        frames_path = self.folder / key[:2] / f"{key}.npy"
        times_path = frames_path.with_name(f"{key}.times.npy")
        if frames_path.exists():
            try:
                return _load(frames_path, times_path)
            except (OSError, ValueError, EOFError) as error:
                _log.warning("%s: damaged, decoding %s again (%s)", frames_path, path, error)
        with open_video(path, threads=1) as video:
            _store(video, size, frames_path, times_path)
        return _load(frames_path, times_path)


def file_state(path: str) -> tuple[object, ...]:
    """Size and modification time of a video, which change when it does; for a folder of images, those of each image.

    A folder's own modification time does not change when an image is overwritten.

    Raises:
        UnreadableVideo: there is no such file.
    """

    def state(file: str) -> tuple[int, int]:
        found = os.stat(file)
        return found.st_size, found.st_mtime_ns

    try:
        if os.path.isdir(path):
            return tuple((os.path.basename(image), *state(image)) for image in list_images(path))
        return state(path)
    except OSError as error:
        raise UnreadableVideo("no such file", path, "check the path") from error


def _load(frames_path: Path, times_path: Path) -> tuple[Frames, Times]:
    frames, times_s = np.load(frames_path, mmap_mode="r"), np.load(times_path)
    if frames.dtype != np.uint8 or frames.ndim != 4 or times_s.shape != frames.shape[:1] or not len(frames):
        raise ValueError(f"{frames.shape=} {frames.dtype=} do not fit {times_s.shape=}")
    return frames, times_s


def _store(video: Video, size: Size, frames_path: Path, times_path: Path) -> None:
    times_s: list[float] = []
    with whole_file(frames_path) as temporary:
        with open(temporary, "wb") as file:
            for _, time_s, frame in video.iterate(size):
                if not times_s:
                    _write_header(file, (video.info.num_frames, *frame.shape))
                file.write(frame.tobytes())
                times_s.append(time_s)
            if not times_s:
                raise UnreadableVideo("no frame of this video can be decoded", video.info.path, "export it again")
            file.seek(0)  # the header is rewritten in place with the number of frames, for which it has room
            _write_header(file, (len(times_s), *frame.shape))
        with whole_file(times_path) as times_temporary:
            np.save(times_temporary, np.array(times_s))


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
