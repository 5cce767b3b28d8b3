"""Live prediction clip by clip: the current action from a camera, a pipe or a network stream.

A thread takes every frame as it arrives and keeps only those that the next clip may need. Whenever the network is free, it
gets the newest clip: a slow network never falls behind, but predicts less often. Frames that were never in reach of a clip are
counted as dropped. Networks with a state are fed frame by frame instead: see `kinema.inference.live.frames`.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.clips.flow import channels_at
from kinema.clips.transforms import decode_size, view_transform
from kinema.engines.scorer import check_numbers
from kinema.inference.live.frames import StreamingScorer, watch_frames
from kinema.inference.live.stream_thread import StreamFrame, StreamThread
from kinema.inference.live.types import EPSILON_S, LivePrediction, Stream, clip_span_s, goes_frame_by_frame
from kinema.localization.smoothing import RollingAverage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from kinema.inference.live.types import Frame
    from kinema.inference.predictor import Predictor
    from kinema.types import InputSpec
    from kinema.video.stream import Stream as VideoStream

__all__ = ["LivePrediction", "NewestFrames", "Stream", "watch", "watch_clips"]

_MOST_FRAMES = 2000
"""Frames kept for a clip whose span is given in seconds; of a source with more, frames close to their neighbours are dropped."""


class NewestFrames(StreamThread):
    """Keeps the newest frames of a stream.

    Args:
        stream: is read to its end.
        span_s: span of a clip in seconds; None keeps `num_frames` frames instead.
        num_frames: least number of frames that are kept.
    """

    def __init__(self, stream: Stream, span_s: float | None, num_frames: int) -> None:
        self.span_s, self.num_frames = span_s, num_frames
        self._kept: deque[StreamFrame] = deque()
        super().__init__(stream)

    def newest(self, after: int) -> list[StreamFrame]:
        """Wait for a frame numbered above `after` and return all kept frames; empty if the stream ended before.

        Raises:
            VideoError: the stream broke.
        """

        def has_new() -> bool:
            return bool(self._kept) and self._kept[-1].number > after

        with self.changed:
            self.changed.wait_for(lambda: self.ended or has_new())
            if has_new():
                return list(self._kept)
            if self.error is not None:
                raise self.error
            return []

    def keep(self, frame: StreamFrame) -> None:
        """Keep a frame, and drop those that the next clip cannot need."""
        kept, now_s = self._kept, frame.time_s
        with self.changed:
            # At high frame rates, replace the newest frame if the one before it is close enough to take its place.
            if (
                self.span_s is not None
                and len(kept) > self.num_frames
                and now_s - kept[-2].time_s < 2 * self.span_s / _MOST_FRAMES
            ):
                kept.pop()
            kept.append(frame)
            # The oldest frame can go if the second one reaches back far enough too.
            while len(kept) > self.num_frames and (self.span_s is None or kept[1].time_s <= now_s - self.span_s):
                kept.popleft()
            self.changed.notify_all()


def watch(
    predictor: Predictor,
    source: str,
    *,
    rolling: int = 1,
    realtime: bool = True,
    reconnect: int = 0,
    on_open: Callable[[VideoStream], None] = lambda stream: None,
) -> Iterator[LivePrediction]:
    """Predict a live source until it ends or the caller stops.

    Args:
        predictor: a trained network.
        source: camera number or device, "-" for a pipe, an rtsp or http address, or a file, which plays in real time.
        rolling: number of predictions in the rolling average.
        realtime: play files at their own speed; False takes them as fast as they decode.
        reconnect: how often in a row a camera or an address that dropped is opened again.
        on_open: is called with the open stream, which counts received frames and reconnections.

    Raises:
        VideoError: the source cannot be opened, or it broke.
        CheckpointError: a score is NaN or infinite.
    """
    from kinema.video.stream import open_stream

    warm_up(predictor)
    size = decode_size(predictor.network.spec, train=False)
    stream = open_stream(source, size=size, realtime=realtime, reconnect=reconnect)
    on_open(stream)
    if goes_frame_by_frame(predictor.network):
        yield from watch_frames(predictor, stream, rolling=rolling, wait=not realtime)
    else:
        yield from watch_clips(predictor, stream, rolling=rolling)


def warm_up(predictor: Predictor) -> None:
    """Run the network once before the source is opened, because the first run takes many times as long as the others."""
    spec = predictor.network.spec
    if goes_frame_by_frame(predictor.network):
        StreamingScorer(predictor)(np.zeros((*spec.size, spec.num_channels), np.uint8))
    else:
        predictor.score_clips(torch.zeros(1, *spec.shape, dtype=torch.uint8))


def watch_clips(predictor: Predictor, stream: Stream, *, rolling: int = 1) -> Iterator[LivePrediction]:
    """Predict an open stream clip by clip until it ends or the caller stops; then the stream is closed."""
    spec = predictor.network.spec
    smooth = RollingAverage(rolling)
    # Numbers of the newest frame that was seen and of the newest frame that was scored; -1 before the first.
    seen, scored, dropped = -1, -1, 0
    num_frames = spec.span if spec.sampling == "dense" else spec.clip_len
    with contextlib.closing(NewestFrames(stream, clip_span_s(spec), num_frames)) as frames:
        while True:
            kept = frames.newest(seen)
            if not kept and scored < 0:
                kept = frames.newest(-1)  # the stream is shorter than a clip: predict the frames that there are
            elif kept and not is_full(kept, spec) and not frames.ended:
                seen = kept[-1].number  # wait for further frames
                continue
            if not kept:
                return
            raw = predictor.score_clips(live_clip(kept, spec))[0]
            check_numbers(raw, predictor.card.variant)
            dropped += max(kept[0].number - scored - 1, 0)  # frames that left the window between two predictions
            seen = scored = kept[-1].number
            latency_s = time.monotonic() - kept[-1].arrived_s
            yield LivePrediction(kept[-1].clock_s, smooth.add(raw), raw, latency_s, dropped + stream.num_dropped)


def is_full(kept: Sequence[StreamFrame], spec: InputSpec) -> bool:
    """Whether the frames reach as far back as a clip."""
    span_s = clip_span_s(spec)
    return len(kept) >= spec.span if span_s is None else kept[-1].time_s - kept[0].time_s >= span_s - EPSILON_S


def live_clip(kept: Sequence[StreamFrame], spec: InputSpec) -> Tensor:
    """The newest clip, uint8 [1 c t h w]; the first frame replaces frames before it."""
    positions, span_s = np.arange(spec.clip_len), clip_span_s(spec)
    if span_s is None:
        places = len(kept) - spec.span + np.array(spec.offsets)
    else:
        times_s = np.array([item.time_s for item in kept])
        # Spread frames are in the middle of equal parts of the window; dense ones go from its start to its end.
        shares = (
            (positions + 0.5) / spec.clip_len if spec.sampling == "spread" else positions / max(spec.clip_len - 1, 1)
        )
        wanted_s = times_s[-1] - span_s + shares * span_s + EPSILON_S
        places = np.searchsorted(times_s, wanted_s, side="right") - 1
    places = np.maximum(places, 0)

    def pixels(rows: NDArray[np.int64]) -> Frame:
        return np.stack([kept[row].frame for row in rows])

    frames = channels_at(places, len(kept), spec, pixels) if spec.has_flow else pixels(places)
    return view_transform(spec)(torch.from_numpy(frames).permute(0, 3, 1, 2))
