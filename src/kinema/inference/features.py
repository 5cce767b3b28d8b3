"""A trained network as a fixed feature extractor: one vector for each clip of a film (Tran et al. 2015).

Films are read and batched as for prediction. Rows of a film wait on disk once there are many of them, so memory stays
constant for films of any length, and a film that turns out to be broken leaves nothing behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kinema.clips.windows import WindowOptions
from kinema.engines.scorer import check_numbers
from kinema.inference.activations import reader
from kinema.inference.batching import Row, SharedFrames, WholeClips
from kinema.inference.collectors import Collector, run_videos
from kinema.inference.options import FeatureOptions
from kinema.inference.reader import ClipReader, Opened
from kinema.predictions import Failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.engines.scorer import Scorer

_IN_MEMORY = 16 << 20
_ROWS = 256


@dataclass(slots=True)
class VideoFeatures:
    """Features of one video, a row a clip, in order of time.

    `spans_s` [n 2] is what each clip covers; `damage` says what of the video could not be seen.
    """

    path: str
    spans_s: NDArray[np.float64]
    dim: int
    damage: str
    _rows: tempfile.SpooledTemporaryFile[bytes]

    def __len__(self) -> int:
        return len(self.spans_s)

    def chunks(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float32]]]:
        """Spans and features [m f], some rows at a time; can be read once."""
        self._rows.seek(0)
        for first in range(0, len(self), _ROWS):
            spans_s = self.spans_s[first : first + _ROWS]
            found = self._rows.read(len(spans_s) * self.dim * 4)
            yield spans_s, np.frombuffer(found, np.float32).reshape(len(spans_s), self.dim)
        self._rows.close()


def extract_many(
    scorer: Scorer, paths: Sequence[str], options: FeatureOptions, num_threads: int
) -> Iterator[VideoFeatures | Failure]:
    """Features of videos, in their order; one that cannot be read gives a `Failure` and the rest goes on.

    Args:
        scorer: holds the network, in evaluation mode.
        paths: files or folders of images.
        options: which clips, which vectors.
        num_threads: videos that are decoded at once.
    """
    read = reader(scorer.network, options.layer, options.pool)
    batchers: list[WholeClips | SharedFrames] = [WholeClips(partial(scorer.apply, read), scorer.batch_size)]
    by_frame = scorer.frame_scorer() if options.layer is None and not scorer.spec.has_flow else None
    if by_frame is not None:
        batchers.append(SharedFrames(by_frame, by_frame.features))
    windows = WindowOptions(options.step_s, 1, options.window_s)
    source = ClipReader(scorer.network.spec, windows, by_frame=by_frame is not None)
    return run_videos(source.read, batchers, FeatureRows(paths), num_threads=num_threads, batch_size=scorer.batch_size)


@dataclass(slots=True)
class _Rows:
    """Features of a video's clips so far: the window of each, and the vectors one after the other in a file."""

    file: tempfile.SpooledTemporaryFile[bytes]
    windows: list[int] = field(default_factory=list)
    dim: int = 0


class FeatureRows(Collector[_Rows, "VideoFeatures"]):
    """Features of each clip of each video."""

    def begin(self, opened: Opened) -> _Rows:
        """No clip yet."""
        return _Rows(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))  # closed by `chunks` or `discard`

    def note(self, state: _Rows, opened: Opened, row: Row) -> None:
        """Keep the features [1 f] of a clip.

        Raises:
            CheckpointError: they are not numbers.
        """
        check_numbers(row.values, opened.info.path)
        state.windows.append(row.window)
        state.dim = row.values.shape[1]
        state.file.write(np.ascontiguousarray(row.values, np.float32).tobytes())

    def conclude(self, state: _Rows, opened: Opened, path: str, damage: str) -> VideoFeatures:
        """The features in the order in which they came."""
        return VideoFeatures(path, opened.windows.spans_s[state.windows], state.dim, damage, state.file)

    def discard(self, state: _Rows) -> None:
        """Close the file."""
        state.file.close()
