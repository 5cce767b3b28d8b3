"""Times of the frames of a stream: a file's own, or those of a live source, whose timestamps may be wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kinema.video.packets import JUMP_S

if TYPE_CHECKING:
    import av

_PERIOD_S = 2.0  # the rate of a source's timestamps is judged once a period
_MAX_DRIFT_S = 0.1  # timestamps may gain or lose this much in a period
_MOST_DRIFTS = 3  # periods in a row, all gaining or all losing more, prove that the rate is wrong


def stated_time_s(frame: av.VideoFrame) -> float | None:
    """Timestamp of a frame in seconds; None if it has none."""
    return None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)


class FileClock:
    """Times of frames in seconds since the first one, without jumps of the source's timestamps.

    Behind a backward step, or a forward step of more than `JUMP_S`, times go on one frame after the last; the offset that
    this takes is kept for all later frames. Frames without a timestamp come one frame after the last, too.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = frame_s
        self._offset_s = self._last_s = 0.0
        self._started: float | None = None

    def time_of(self, frame: av.VideoFrame) -> float:
        """Time of the next frame."""
        stated_s = stated_time_s(frame)
        if stated_s is None:
            stated_s = self._last_s - self._offset_s + (self._frame_s if self._started is not None else 0.0)
        if self._started is None:
            self._started, self._offset_s = time.monotonic(), -stated_s
            return 0.0
        time_s = stated_s + self._offset_s
        if not 0 <= time_s - self._last_s <= JUMP_S:
            time_s = self._last_s + self._frame_s
            self._offset_s = time_s - stated_s
        self._last_s = time_s
        return time_s

    def seconds_early(self, time_s: float) -> float:
        """Seconds until a frame is due when the stream plays at its own pace; 0 if it is late."""
        assert self._started is not None
        return max(0.0, self._started + time_s - time.monotonic())


class LiveClock:
    """Distances between the frames of a live source, in seconds since its first frame.

    Timestamps say better than arrival how far apart two frames are, because a network delivers frames in bursts. So they
    are used while they are there, rise by at most `JUMP_S`, and go as fast as frames arrive. Otherwise time goes on by as
    much as passed between two arrivals: for one frame after a jump, and for good if the timestamps run at another rate.

    Args:
        has_timestamps: False for a source whose demuxer counts frames at an assumed rate: arrival is the clock from the start.
    """

    def __init__(self, has_timestamps: bool) -> None:
        self._last_s, self._last_arrived_s = 0.0, 0.0
        self.restart(has_timestamps)

    def restart(self, has_timestamps: bool) -> None:
        """The source was opened again: its timestamps have another zero. Time goes on."""
        self.by_arrival = not has_timestamps
        self._offset_s: float | None = None
        self._period, self._lead_s, self._lead_before_s, self._num_drifts = -1, 0.0, 0.0, 0

    def time_of(self, frame: av.VideoFrame, arrived_s: float) -> float:
        """Time of the next frame, which arrived at `arrived_s` by `time.monotonic`."""
        passed_s = arrived_s - self._last_arrived_s if self._last_arrived_s else 0.0
        stated_s = None if self.by_arrival else stated_time_s(frame)
        time_s = self._last_s + passed_s
        if stated_s is not None:
            if self._offset_s is not None and 0 < stated_s + self._offset_s - self._last_s <= JUMP_S:
                time_s = stated_s + self._offset_s
            self._offset_s = time_s - stated_s
            self._judge_rate(time_s, arrived_s)
        self._last_s, self._last_arrived_s = time_s, arrived_s
        return time_s

    def _judge_rate(self, time_s: float, arrived_s: float) -> None:
        """Compare how far timestamps lead arrival, in periods of arrival.

        A burst, a stall or a whole segment at once moves single frames but not the greatest lead of every period, or moves
        it once. Timestamps at another rate move it in each period, always in the same direction.
        """
        period, lead_s = int(arrived_s // _PERIOD_S), time_s - arrived_s
        if period == self._period:
            self._lead_s = max(self._lead_s, lead_s)
            return
        drift_s = self._lead_s - self._lead_before_s
        if self._period < 0 or abs(drift_s) <= _MAX_DRIFT_S:
            self._num_drifts = 0
        else:
            direction = 1 if drift_s > 0 else -1
            self._num_drifts = direction + (self._num_drifts if self._num_drifts * direction > 0 else 0)
        self.by_arrival = abs(self._num_drifts) >= _MOST_DRIFTS
        self._lead_before_s = self._lead_s if self._period >= 0 else lead_s
        self._period, self._lead_s = period, lead_s
