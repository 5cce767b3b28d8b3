"""The packet index of a film: when each frame is shown, and where decoding has to start for it. Nothing is decoded.

A container stores packets in decoding order; B-frames are shown in another one. Display order is the order of the
packets' presentation timestamps. Packets that an edit list hides, and those before the first keyframe, are no frames.

Where timestamps leap, as in recordings that were joined, those behind the leap go on from those before it, and frames are
numbered as they leave the decoder: two frames of such a film may carry one timestamp.

All of it is flat arrays: a film of two hours has 180 000 packets, and its index should be a few megabytes.
"""

from __future__ import annotations

import contextlib
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from kinema.video.container import packets_of

if TYPE_CHECKING:
    from av.container import InputContainer

KEEP_BYTES = 32 << 20  # packets of smaller films stay in memory: no second pass over the file, no seeking in it
_PACKET_BYTES = 600  # about what a packet takes in memory besides its data
_WORTH_A_JUMP = 8  # packets that a jump to a later keyframe has to spare: the decoder is emptied and filled again
_EARLIER_KEYS = 3
LEAP_S = 10.0  # timestamps of a broadcast or a camera that jump further than this start anew
_BACK_S = 0.5  # so do those of any film that fall back by more than this
_BROADCAST = frozenset({"mpegts", "mpeg"})  # formats in which clocks may leap
_PLACEHOLDER_BYTES = 10  # a packed MPEG-4 stream has two frames in one packet, then a packet of about 7 bytes


class Flags:
    """A set of whole numbers, a byte for each up to the largest: 180 kB for the frames of two hours."""

    def __init__(self, members: NDArray[np.int64]) -> None:
        flags = np.zeros(int(members.max(initial=-1)) + 1, np.uint8)
        flags[members] = 1
        self._flags, self._count = bytearray(flags.tobytes()), int(np.count_nonzero(flags))

    def __contains__(self, number: int) -> bool:
        return number < len(self._flags) and bool(self._flags[number])

    def __len__(self) -> int:
        return self._count

    def remove(self, number: int) -> None:
        """Take out a member."""
        self._count -= self._flags[number]
        self._flags[number] = 0


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch to decode without a jump: feed packets from `start` on until all frames `wanted` have come out."""

    start: int
    wanted: NDArray[np.int64]


@dataclass(frozen=True)
class PacketIndex:
    """Packets in decoding order, frames in display order.

    Args:
        pts: [p] presentation timestamps of the packets.
        key: [p] whether decoding can start there.
        shown: [p] whether the packet's frame is shown at all.
        time_base: seconds in a tick.
        last_ticks: how long the last frame stays on screen, 0 if the file does not say.
        counted: None, or the number of frames where timestamps are missing or cannot be trusted: frames are then numbered as
            they leave the decoder, and decoding always starts at the first packet.
        leaps: whether timestamps started anew on the way; the length that the header tells then means nothing either.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    time_base: Fraction
    last_ticks: int = 0
    counted: int | None = None
    leaps: bool = False
    packets: list[av.Packet] | None = field(default=None, repr=False)

    @cached_property
    def decode_order(self) -> NDArray[np.int64]:
        """[n] the packet that holds frame i."""
        if self.counted is not None:
            return np.arange(self.counted)
        shown = np.flatnonzero(self.shown)
        return shown[np.argsort(self.pts[shown], kind="stable")]

    @cached_property
    def frame_of(self) -> NDArray[np.int64]:
        """[p] the frame that a packet holds, -1 if it is not shown; only where frames are not counted."""
        frames = np.full(len(self.pts), -1, np.int64)
        frames[self.decode_order] = np.arange(self.num_frames)
        return frames

    @cached_property
    def _by_pts(self) -> tuple[array[int], NDArray[np.int64]]:
        order = np.argsort(self.pts, kind="stable")
        return array("q", self.pts[order].tobytes()), order

    def packet_at(self, pts: int | None) -> int | None:
        """The packet that a presentation timestamp belongs to; None if there is no such packet."""
        known, order = self._by_pts
        if pts is None:
            return None
        rank = bisect_left(known, pts)
        return int(order[rank]) if rank < len(known) and known[rank] == pts else None

    @property
    def num_frames(self) -> int:
        """Frames that are shown."""
        return len(self.decode_order)

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """[k] packets at which decoding can start, in decoding order; the first packet always counts as one."""
        keys = np.flatnonzero(self.key) if self.counted is None else np.zeros(1, np.int64)
        return keys if len(keys) and keys[0] == 0 else np.concatenate([[0], keys]).astype(np.int64)

    @cached_property
    def key_frames(self) -> NDArray[np.int64]:
        """[k] the frames that decode by themselves, in display order; none where frames are counted."""
        if self.counted is not None:
            return np.zeros(0, np.int64)
        return np.sort(self.frame_of[np.flatnonzero(self.key & self.shown)])

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """[n] the packet at which decoding has to start for frame i.

        It is the last keyframe that is neither decoded nor shown after the frame: frames that are decoded after a
        keyframe but shown before it lean on what came earlier.
        """
        if self.counted is not None:
            return np.zeros(self.num_frames, np.int64)
        keys = self.keys
        by_decoding = np.searchsorted(keys, self.decode_order, side="right") - 1
        key_pts = np.minimum.accumulate(self.pts[keys][::-1])[::-1]
        by_display = np.searchsorted(key_pts, self.pts[self.decode_order], side="right") - 1
        return keys[np.maximum(np.minimum(by_decoding, by_display), 0)]

    def runs(self, frames: NDArray[np.int64]) -> list[Run]:
        """Cut sorted frames into runs: a jump is made where it spares more packets than starting anew costs."""
        starts = self.starts[frames]
        ends = np.maximum.accumulate(self.decode_order[frames])
        worth = 1 if self.key.all() else _WORTH_A_JUMP
        cuts = np.flatnonzero(starts[1:] - ends[:-1] > worth) + 1
        return [Run(int(self.starts[part].min()), part) for part in np.split(frames, cuts)]

    def thorough_run(self, frames: NDArray[np.int64]) -> Run:
        """One run for all, started some keyframes early: not all that is called a keyframe is a clean start."""
        key = int(np.searchsorted(self.keys, self.starts[frames].min()))
        return Run(int(self.keys[max(key - _EARLIER_KEYS, 0)]), frames)

    def thorough_runs(self, frames: NDArray[np.int64]) -> list[Run]:
        """Such a run for each of the runs of sorted frames, of which there may be none."""
        return [self.thorough_run(run.wanted) for run in self.runs(frames)] if len(frames) else []

    def times_s(self, fps: float) -> NDArray[np.float64]:
        """[n] display times, the first at 0.0; counted by `fps` where there are no timestamps."""
        if self.counted is not None:
            pts = np.sort(self.pts[self.shown])
            if len(pts) != self.counted or len(np.unique(pts)) != len(pts):
                return np.arange(self.counted) / fps
        else:
            pts = self.pts[self.decode_order]
        ticks = (pts - pts[0]).astype(np.float64) if len(pts) else np.zeros(0)
        return ticks * self.time_base.numerator / self.time_base.denominator


def scan(container: InputContainer, stream: av.VideoStream) -> PacketIndex:
    """Read all packets of a stream once, without decoding. A file that breaks off ends where it breaks."""
    time_base = stream.time_base or Fraction(1, 1000)
    read = _Reading(_Clock(time_base, may_leap=container.format.name in _BROADCAST))
    with contextlib.suppress(av.FFmpegError):
        for packet in packets_of(container, stream):
            read.take(packet)
    pts = np.frombuffer(read.pts, np.int64)
    key, shown = np.frombuffer(read.key, bool), np.frombuffer(read.shown, bool).copy()
    num_hidden = int(np.argmax(key)) if key.any() else 0
    shown[:num_hidden] = False  # what comes before the first keyframe leans on what was cut away
    if key.any() and not read.untimed:
        shown &= pts >= pts[num_hidden]
    packed = stream.codec_context.name == "mpeg4" and read.has_placeholder
    leaps = read.clock.offset != 0
    distrusted = leaps or read.untimed or packed or len(np.unique(pts)) != len(pts)
    counted = len(pts) if distrusted else None
    return PacketIndex(pts, key, shown, time_base, read.last_ticks, counted, leaps, read.packets)


class _Clock:
    """Timestamps without their leaps.

    Args:
        time_base: seconds in a tick.
        may_leap: whether a long jump ahead is one, and not a picture that stood still.
    """

    def __init__(self, time_base: Fraction, *, may_leap: bool) -> None:
        self._back = -int(_BACK_S / time_base)
        self._ahead = int(LEAP_S / time_base) if may_leap else 1 << 62
        self._last: int | None = None
        self._step = 0
        self.offset = 0

    def see(self, dts: int) -> None:
        """The next packet in decoding order; `offset` is then what its timestamps lack."""
        told = dts + self.offset
        if self._last is not None:
            if self._back <= told - self._last <= self._ahead:
                self._step = max(told - self._last, 0) or self._step
            else:
                self.offset += self._last + self._step - told
                told = self._last + self._step
        self._last = told


class _Reading:
    """What is noted of each packet that passes by."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.pts, self.key, self.shown = array("q"), bytearray(), bytearray()
        self.untimed = self.has_placeholder = False
        self.last_pts, self.last_ticks = -(1 << 63), 0
        self.packets: list[av.Packet] | None = []
        self.num_bytes = 0

    def take(self, packet: av.Packet) -> None:
        """Note a packet, and keep it as long as all of them are few."""
        pts, size = packet.pts, packet.size
        if pts is None:
            if not size:
                return  # the mark that PyAV puts at the end
            self.untimed, pts = True, 0
        elif packet.dts is not None:
            self.clock.see(packet.dts)
            pts += self.clock.offset
        if pts > self.last_pts:
            self.last_pts, self.last_ticks = pts, packet.duration or 0
        self.pts.append(pts)
        self.key.append(packet.is_keyframe)
        self.shown.append(not packet.is_discard)
        self.has_placeholder |= size < _PLACEHOLDER_BYTES
        self.num_bytes += size + _PACKET_BYTES
        if self.packets is not None:
            self.packets.append(packet)
            if self.num_bytes > KEEP_BYTES:
                self.packets = None
