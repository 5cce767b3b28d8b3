"""Choose the number of decoding threads of a video.

Threads take 20 to 40 % more processor time. On two idle cores they shortened reading 720p by a quarter and 640x360 by a
tenth; at 320x240 clips took longer with them than without, however long the video.
"""

from __future__ import annotations

from kinema.machine import num_cores

_MIN_PIXELS = 200_000  # of a frame
_MIN_WORK = 30_000_000  # pixels of all frames together
_THREADS_PER_CORE = 2  # half of them wait for one another: four were faster than two or three on two cores
_MAX_THREADS = 8


def choose_threads(pixels: int, num_frames: int) -> int:
    """Threads for a video with so many pixels a frame: two per core, at most 8; one for small frames and short videos."""
    cores = num_cores()
    pays = cores > 1 and pixels > _MIN_PIXELS and pixels * num_frames > _MIN_WORK
    return min(_THREADS_PER_CORE * cores, _MAX_THREADS) if pays else 1
