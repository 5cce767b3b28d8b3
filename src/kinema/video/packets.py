"""The packet index of a film: when each frame is shown, and where decoding has to start for it. Nothing is decoded.

A container stores packets in decoding order; B-frames are shown in another one. Display order is the order of the
packets' presentation timestamps. Packets that an edit list hides, and those before the first keyframe, are no frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.container import InputContainer

KEEP_BYTES = 32 << 20  # packets of smaller films stay in memory: no second pass over the file, no seeking in it
_WORTH_A_JUMP = 8  # packets that a jump to a later keyframe has to spare: the decoder is emptied and filled again
_EARLIER_KEYS = 3
_PLACEHOLDER_BYTES = 10  # a packed MPEG-4 stream has two frames in one packet, then a packet of about 7 bytes


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
        counted: None, or the number of frames where timestamps are missing or cannot be trusted: frames are then
        numbered as
            they leave the decoder, and decoding always starts at the first packet.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    time_base: Fraction
    last_ticks: int = 0
    counted: int | None = None
    packets: list[av.Packet] | None = field(default=None, repr=False)

    @cached_property
    def decode_order(self) -> NDArray[np.int64]:
        """[n] the packet that holds frame i."""
        if self.counted is not None:
            return np.arange(self.counted)
        shown = np.flatnonzero(self.shown)
        return shown[np.argsort(self.pts[shown], kind="stable")]

    @cached_property
    def frame_of(self) -> dict[int, int]:
        """Which frame a presentation timestamp belongs to."""
        return {pts: frame for frame, pts in enumerate(self.pts[self.decode_order].tolist())}

    @cached_property
    def packet_of(self) -> dict[int, int]:
        """Which packet a presentation timestamp belongs to."""
        return {pts: packet for packet, pts in enumerate(self.pts.tolist())}

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
    rows, packets = _read_packets(container, stream)
    pts = np.array([row[0] for row in rows], np.int64)
    key, shown = (np.array([row[column] for row in rows], bool) for column in (1, 2))
    num_hidden = int(np.argmax(key)) if key.any() else 0
    shown[:num_hidden] = False  # what comes before the first keyframe leans on what was cut away
    missing = any(row[4] for row in rows)
    if key.any() and not missing:
        shown &= pts >= pts[num_hidden]
    packed = stream.codec_context.name == "mpeg4" and any(row[5] < _PLACEHOLDER_BYTES for row in rows)
    distrusted = missing or packed or len(np.unique(pts)) != len(pts)
    last_ticks = rows[int(np.argmax(pts))][3] if rows else 0
    time_base = stream.time_base or Fraction(1, 1000)
    return PacketIndex(pts, key, shown, time_base, last_ticks, len(rows) if distrusted else None, packets)


_Row = tuple[int, bool, bool, int, bool, int]  # pts, keyframe, shown, duration, has no timestamp, bytes


def _read_packets(container: InputContainer, stream: av.VideoStream) -> tuple[list[_Row], list[av.Packet] | None]:
    rows: list[_Row] = []
    packets: list[av.Packet] | None = []
    num_bytes = 0
    try:
        for packet in container.demux(stream):
            pts, size = packet.pts, packet.size
            if not size and pts is None:
                continue  # the mark that PyAV puts at the end
            duration = packet.duration or 0
            rows.append((pts or 0, packet.is_keyframe, not packet.is_discard, duration, pts is None, size))
            num_bytes += size
            if packets is not None:
                packets.append(packet)
                if num_bytes > KEEP_BYTES:
                    packets = None
    except av.FFmpegError:
        pass
    return rows, packets
