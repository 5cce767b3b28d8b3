"""Live prediction: what is happening now, from a camera, a pipe or a network stream.

A thread takes every frame as it comes and keeps only those that the next clip may need. The network takes the newest
clip whenever it is free: it never falls behind, it looks less often. Frames that came and went without ever having been
within reach of a clip are counted as dropped. A network that remembers is fed frame by frame instead: see
`kinema.inference.live.frames`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.clips.flow import channels_at
from kinema.clips.transforms import decode_size, view_transform
from kinema.engines.scorer import check_numbers
from kinema.inference.live.frames import Stepper, watch_steps
from kinema.inference.live.types import EPSILON_S, LivePrediction, Stream, arrival_s, goes_frame_by_frame, reach_s
from kinema.localization.smoothing import RollingAverage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from kinema.inference.live.types import Frame
    from kinema.inference.predictor import Predictor
    from kinema.types import InputSpec

__all__ = ["LivePrediction", "NewestFrames", "Stream", "watch", "watch_stream"]

_MOST_FRAMES = 2000
"""Of a clip that reaches back for seconds; where the source has more, frames that lie close together are left out."""


@dataclass(frozen=True, slots=True)
class _Kept:
    time_s: float
    arrived_s: float
    number: int
    frame: Frame


class NewestFrames:
    """Reads a stream in a thread and keeps the newest frames.

    Args:
        stream: read to its end; closed by `close`.
        reach_s: how far back a clip may look; None keeps `num_frames` frames instead.
        num_frames: least number of frames that are kept.
    """

    def __init__(self, stream: Stream, reach_s: float | None, num_frames: int) -> None:
        self.stream, self.reach_s, self.num_frames = stream, reach_s, num_frames
        self._kept: deque[_Kept] = deque()
        self._changed = threading.Condition()
        self._error: Exception | None = None
        self._ended = False
        self._closing = False
        self._thread = threading.Thread(target=self._read, daemon=True, name="live-frames")
        self._thread.start()

    def newest(self, after: int) -> list[_Kept]:
        """The frames that are kept, once there is one numbered above `after`; empty when the stream is over.

        Raises:
            VideoError: the stream broke.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or (bool(self._kept) and self._kept[-1].number > after))
            if self._kept and self._kept[-1].number > after:
                return list(self._kept)
            if self._error is not None:
                raise self._error
            return []

    @property
    def ended(self) -> bool:
        """Whether no more frames will come."""
        return self._ended

    def close(self) -> None:
        """Stop reading."""
        self._closing = True
        self.stream.close()
        self._thread.join(timeout=5)

    def _read(self) -> None:
        try:
            for number, (time_s, frame) in enumerate(self.stream):
                if self._closing:
                    break
                self._keep(_Kept(time_s, arrival_s(self.stream), number, frame))
        except Exception as error:  # handed over to the reader of `newest`
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _keep(self, item: _Kept) -> None:
        with self._changed:
            if self._is_crowded(item.time_s):
                self._kept.pop()
            self._kept.append(item)
            while len(self._kept) > self.num_frames and self._is_old(self._kept[1], item.time_s):
                self._kept.popleft()
            self._changed.notify_all()

    def _is_crowded(self, now_s: float) -> bool:
        """Whether a clip can do without the frame before the newest, so close to both is the one before it."""
        if self.reach_s is None or len(self._kept) <= self.num_frames:
            return False
        return now_s - self._kept[-2].time_s < 2 * self.reach_s / _MOST_FRAMES

    def _is_old(self, item: _Kept, now_s: float) -> bool:
        return self.reach_s is None or item.time_s <= now_s - self.reach_s


def watch(predictor: Predictor, source: str, *, rolling: int = 1, realtime: bool = True) -> Iterator[LivePrediction]:
    """Predict a live source until it ends or the caller stops.

    Args:
        predictor: a trained network.
        source: camera number or device, "-" for a pipe, an rtsp or http address, or a file, which plays in real time.
        rolling: average the last so many predictions.
        realtime: play files at their own speed; False takes them as fast as they decode.

    Raises:
        VideoError: it cannot be opened, or broke.
        CheckpointError: the scores are not numbers.
    """
    from kinema.video.stream import open_stream

    warm_up(predictor)
    size = decode_size(predictor.network.spec, train=False)
    stream = open_stream(source, size=size, realtime=realtime)
    if goes_frame_by_frame(predictor.network):
        yield from watch_steps(predictor, stream, rolling=rolling, wait=not realtime)
    else:
        yield from watch_stream(predictor, stream, rolling=rolling)


def warm_up(predictor: Predictor) -> None:
    """Let the network answer once before the source is opened: the first answer takes many times as long as the others."""
    spec = predictor.network.spec
    if goes_frame_by_frame(predictor.network):
        Stepper(predictor)(np.zeros((*spec.size, spec.num_channels), np.uint8))
    else:
        predictor.score_clips(torch.zeros(1, *spec.shape, dtype=torch.uint8))


def watch_stream(predictor: Predictor, stream: Stream, *, rolling: int = 1) -> Iterator[LivePrediction]:
    """Predict an open stream clip by clip; it is closed in the end."""
    spec = predictor.network.spec
    smooth = RollingAverage(rolling)
    frames = NewestFrames(stream, reach_s(spec), spec.span if spec.sampling == "dense" else spec.clip_len)
    seen, last, dropped = -1, -1, 0
    with contextlib.closing(frames):
        while True:
            kept = frames.newest(seen)
            if not kept and last < 0:
                kept = frames.newest(-1)  # a stream that is shorter than a clip
            elif kept and not is_full(kept, spec) and not frames.ended:
                seen = kept[-1].number
                continue
            if not kept:
                return
            raw = predictor.score_clips(live_clip(kept, spec))[0]
            check_numbers(raw, predictor.card.variant)
            dropped += max(kept[0].number - last - 1, 0)
            seen = last = kept[-1].number
            latency_s = time.monotonic() - kept[-1].arrived_s
            yield LivePrediction(kept[-1].time_s, smooth.add(raw), raw, latency_s, dropped + stream.num_dropped)


def is_full(kept: Sequence[_Kept], spec: InputSpec) -> bool:
    """Whether the frames reach as far back as a clip does."""
    reach = reach_s(spec)
    return len(kept) >= spec.span if reach is None else kept[-1].time_s - kept[0].time_s >= reach - EPSILON_S


def live_clip(kept: Sequence[_Kept], spec: InputSpec) -> Tensor:
    """The newest clip uint8 [1 c t h w]; what lies before the first frame is replaced by it."""

    def pixels(rows: NDArray[np.int64]) -> Frame:
        return np.stack([kept[row].frame for row in rows])

    places = _places(kept, spec)
    frames = channels_at(places, len(kept), spec, pixels) if spec.has_flow else pixels(places)
    return view_transform(spec)(torch.from_numpy(frames).permute(0, 3, 1, 2))


def _places(kept: Sequence[_Kept], spec: InputSpec) -> NDArray[np.int64]:
    steps = np.arange(spec.clip_len)
    reach = reach_s(spec)
    if reach is None:
        return np.maximum(len(kept) - spec.span + steps * spec.frame_stride, 0)
    times_s = np.array([item.time_s for item in kept])
    share = (steps + 0.5) / spec.clip_len if spec.sampling == "spread" else steps / max(spec.clip_len - 1, 1)
    places = np.searchsorted(times_s, times_s[-1] - reach + share * reach + EPSILON_S, side="right") - 1
    return np.maximum(places, 0)
