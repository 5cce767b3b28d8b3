"""Rows of scores or features of interleaved videos, put together; results come out in the order of the videos.

`run_videos` is the one loop that reads files. What it makes of them is the collector's: timelines here, features in
`kinema.inference.features`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from kinema.errors import KinemaError
from kinema.inference.reader import Clips, Done, Frames, Item, Opened, ReadAhead
from kinema.predictions import Failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.inference.batching import Row, SharedFrames, WholeClips
    from kinema.predictions import Prediction

Result = TypeVar("Result")
State = TypeVar("State")


@dataclass(slots=True)
class OpenVideo(Generic[State]):
    """A video that is being read: how it is looked at, the collector's own state, and the clips that wait for scores."""

    opened: Opened | None = None
    state: State | None = None
    done: Done | None = None
    num_waiting: int = 0


class Collector(ABC, Generic[State, Result]):
    """Sorts the rows of interleaved videos and gives the finished videos in order.

    Args:
        paths: of all videos, in order.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths, self.videos = paths, dict[int, OpenVideo[State]]()
        self._next = 0

    @abstractmethod
    def begin(self, opened: Opened) -> State:
        """What is kept of a video while it is read."""

    @abstractmethod
    def note(self, state: State, opened: Opened, row: Row) -> None:
        """Keep the row of a clip."""

    @abstractmethod
    def conclude(self, state: State, opened: Opened, path: str, damage: str) -> Result:
        """The result of a video whose rows are all there; `damage` says what of it could not be read."""

    def discard(self, state: State) -> None:
        """Free what is kept of a video that gives no result."""

    def take(self, item: Item) -> None:
        """A video begins or ends, or clips of it wait for the network."""
        video = self.videos.setdefault(item.number, OpenVideo())
        if isinstance(item, Opened):
            video.opened, video.state = item, self.begin(item)
        elif isinstance(item, Clips):
            video.num_waiting += 1
        elif isinstance(item, Frames):
            video.num_waiting += len(item.looks)
        else:
            video.done = item

    def add(self, rows: Iterable[Row]) -> None:
        """Keep the rows of clips."""
        for row in rows:
            video = self.videos[row.number]
            assert video.opened is not None
            assert video.state is not None
            self.note(video.state, video.opened, row)
            video.num_waiting -= 1

    def is_blocked(self, count: int) -> bool:
        """Whether more than `count` videos wait for one that has been read and is not scored."""
        video = self.videos.get(self._next)
        return video is not None and video.done is not None and len(self.videos) > count

    def finished(self) -> Iterator[Result | Failure]:
        """The next videos that are done."""
        while (video := self.videos.get(self._next)) and video.done and not video.num_waiting:
            path = self.paths[self._next]
            del self.videos[self._next]
            self._next += 1
            if video.done.error is None and video.opened is not None and video.state is not None:
                yield self.conclude(video.state, video.opened, path, video.done.damage)
                continue
            if video.state is not None:
                self.discard(video.state)
            yield Failure(path, video.done.error or KinemaError("not one clip", path))

    def close(self) -> None:
        """Free what is kept of the videos that are not finished."""
        for video in self.videos.values():
            if video.state is not None:
                self.discard(video.state)


def run_videos(
    read: Callable[[int, str], Iterator[Item]],
    batchers: Sequence[WholeClips | SharedFrames],
    collector: Collector[State, Result],
    *,
    num_threads: int,
    batch_size: int,
) -> Iterator[Result | Failure]:
    """Read videos ahead of the network, score their clips in batches, and give the results in the order of the videos.

    Args:
        read: gives the items of a video, such as `ClipReader.read`.
        batchers: turn items into rows.
        collector: knows the videos' paths, and turns rows into results.
        num_threads: videos that are read at once.
        batch_size: clips in a batch, which bounds what waits in memory.
    """
    paths = collector.paths
    if not paths:
        return
    try:
        with ReadAhead(read, paths, num_threads=num_threads, depth=2 * batch_size) as items:
            for item in items:
                collector.take(item)
                for batcher in batchers:
                    collector.add(batcher.take(item))
                if collector.is_blocked(4 * batch_size):
                    # Flush partial batches so that a video whose last clips fill no batch cannot block the others.
                    for batcher in batchers:
                        collector.add(batcher.finish())
                yield from collector.finished()
        for batcher in batchers:
            collector.add(batcher.finish())
        yield from collector.finished()
    finally:
        collector.close()


@dataclass(slots=True)
class _Sums:
    """Sums of scores over the views of each window [windows classes], and how many there are [windows]."""

    scores: NDArray[np.float64]
    counts: NDArray[np.int64]


class Timelines(Collector[_Sums, "Prediction"]):
    """Mean scores of each window of each video.

    Args:
        paths: of all videos, in order.
        num_classes: of the scores.
        predict: makes a prediction of a path, how it was looked at, what is missing, and scores [windows classes].
    """

    def __init__(
        self,
        paths: Sequence[str],
        num_classes: int,
        predict: Callable[[str, Opened, str, NDArray[np.float32]], Prediction],
    ) -> None:
        super().__init__(paths)
        self._num_classes, self._predict = num_classes, predict

    def begin(self, opened: Opened) -> _Sums:
        """No scores yet."""
        num_windows = len(opened.windows.spans_s)
        return _Sums(np.zeros((num_windows, self._num_classes)), np.zeros(num_windows, np.int64))

    def note(self, state: _Sums, opened: Opened, row: Row) -> None:
        """Add the scores [v classes] of a clip's views, or [v t classes] at each of its frames."""
        summed = row.values.sum(axis=0)
        if opened.windows.steps is None:
            state.scores[row.window] += summed
            state.counts[row.window] += len(row.values)
        else:
            windows = opened.windows.steps[row.window]
            state.scores[windows[windows >= 0]] += summed[windows >= 0]
            state.counts[windows[windows >= 0]] += len(row.values)

    def conclude(self, state: _Sums, opened: Opened, path: str, damage: str) -> Prediction:
        """The prediction for the mean scores."""
        return self._predict(path, opened, damage, (state.scores / state.counts[:, None]).astype(np.float32))
