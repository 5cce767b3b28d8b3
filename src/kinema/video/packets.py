"""The packet index of a video: when each frame is displayed, and where its decoding has to start. Nothing is decoded.

A container stores packets in decoding order; B-frames are displayed in another order. Display order is the order of the
packets' presentation timestamps (PTS). Packets that an edit list hides and packets before the first keyframe hold no
displayed frame.

Some timestamps cannot be used: they are missing, or they jump where recordings were joined. Behind a jump they are
shifted so that they continue those before it. Frames of such a video are numbered as the decoder outputs them, because
two of them may have the same timestamp.

Some can be used but are not true: a demuxer made them up from the order of decoding, or a packet holds a field and not
a frame. Signs in the packets tell which videos are doubtful; these are decoded once, and `PacketIndex.numbered` goes by
what the decoder gave.

The index is made of flat arrays: a video of two hours has 180 000 packets, and its index should take a few megabytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from kinema.video.container import packets_of
from kinema.video.frame_times import repaired
from kinema.video.numbering_check import NumberingCheck

if TYPE_CHECKING:
    from av.container import InputContainer

KEEP_BYTES = 32 << 20  # packets of smaller videos stay in memory: no second pass over the file, no seeking in it
_PACKET_BYTES = 600  # about what a packet takes in memory besides its data
_MIN_PACKETS_SAVED = (
    8  # a jump to a later keyframe must save as many packets: it empties the decoder, which then refills
)
MAX_REORDERED = 16  # frames: the most by which H.264 and HEVC change the order
EARLIER_KEYS = 3  # by which decoding begins earlier at a sign of damage
_GAP = 1.5  # times the usual step from one frame to the next: a packet may be missing between two frames
_MAX_GAPS = 0.05  # share of all steps: more of them, and more than three, show that the frame rate varies
JUMP_S = 10.0  # a forward step of more than this in a broadcast or camera stream means that its clock was reset
_BACKWARD_JUMP_S = 0.5  # and so does, in any file, a backward step of more than this
_BROADCAST = frozenset({"mpegts", "mpeg"})  # formats whose clock may be reset
_BEGINNING_ANYWHERE = _BROADCAST | {"h264", "hevc", "mpegvideo"}  # recordings of what was on the air
UNTIMED = -(1 << 63)  # the timestamp of a packet that has none
_PLACEHOLDER_BYTES = 10  # a packed MPEG-4 stream has two frames in one packet, then a packet of about 7 bytes


class IndexSet:
    """A set of whole numbers as one byte per number up to the largest: 180 kB for the frames of two hours."""

    def __init__(self, members: NDArray[np.int64]) -> None:
        flags = np.zeros(int(members.max(initial=-1)) + 1, np.uint8)
        flags[members] = 1
        self._flags, self._count = bytearray(flags.tobytes()), int(np.count_nonzero(flags))

    def __contains__(self, number: int) -> bool:
        return number < len(self._flags) and bool(self._flags[number])

    def __len__(self) -> int:
        return self._count

    def remove(self, number: int) -> None:
        """Remove a number; one that is not a member is ignored."""
        self._count -= self._flags[number]
        self._flags[number] = 0


@dataclass(frozen=True, slots=True)
class DecodeRun:
    """Frames to decode without a seek: send packets from `start` on until all frames `wanted` have been output.

    In a doubtful run (see `PacketIndex.doubtful`) the decoder has to be new and may skip no frame.
    """

    start: int
    wanted: NDArray[np.int64]
    is_doubtful: bool = False


@dataclass(frozen=True)
class PacketIndex:
    """Packets in decoding order, frames in display order.

    Args:
        pts: [p] presentation timestamps of the packets.
        key: [p] whether decoding can start at the packet.
        shown: [p] whether the packet's frame is displayed.
        time_base: seconds in a tick.
        last_ticks: display time of the last frame in ticks, 0 if the file does not say.
        num_counted: number of frames if timestamps are missing or unreliable, else None. Frames are then numbered in the
            order of the decoder's output, and decoding always starts at the first packet.
        has_jumps: whether timestamps jump; the duration in the header is then meaningless too.
        packets: the packets themselves if they fit into memory.
        is_packed: a packet may hold two frames (MPEG-4 from old AVI files).
        needs_decoding: timestamps look usable, but are perhaps not those of frames: the decoder has to tell.
        order: [n] the packet that holds frame i, as the decoder told; None if timestamps tell it.
        ticks: [n] display times of the frames in ticks, if they are not those of their packets.
        has_fields: a packet may hold one field of a frame.
        changes: packets that bring the decoder another header, in order: it holds for all packets up to the next one.
        num_headless: frames before the first keyframe, in a format whose files begin with one.
        is_broken: whether reading ended with an error and not with the file.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    time_base: Fraction
    last_ticks: int = 0
    num_counted: int | None = None
    has_jumps: bool = False
    packets: list[av.Packet] | None = field(default=None, repr=False)
    is_packed: bool = False
    needs_decoding: bool = False
    order: NDArray[np.int64] | None = None
    ticks: NDArray[np.float64] | None = None
    has_fields: bool = False
    changes: tuple[int, ...] = ()
    num_headless: int = 0
    is_broken: bool = False

    def numbered(self, origins: NDArray[np.int64], fps: float) -> PacketIndex:
        """The index of a video that has been decoded as a whole.

        Args:
            origins: [n] the packet of each frame in the order of the decoder's output, -1 if unknown.
            fps: frame rate by the header.
        """
        stated = np.where(origins >= 0, self.pts[origins], UNTIMED)
        is_one_to_one = origins.min() >= 0 and len(np.unique(origins)) == len(origins)
        if self.num_counted is None and is_one_to_one:
            if np.array_equal(origins, self.decode_order):
                return replace(self, needs_decoding=False)
            shown = np.zeros(len(self.pts), np.bool_)
            shown[origins] = True
            ticks = repaired(stated, ~self.displaced[origins], 1 / (fps * float(self.time_base)))
            last = int(np.median(np.diff(ticks))) if len(ticks) > 1 else self.last_ticks  # a packet's may be a field's
            return replace(self, shown=shown, order=origins, ticks=ticks, last_ticks=last, needs_decoding=False)
        pts, is_timed = np.sort(self.pts[self.shown]), (stated != UNTIMED) & ~self.displaced[origins]
        found: NDArray[np.float64] | None = None
        if len(pts) == len(origins) and len(np.unique(pts)) == len(pts) and not self.displaced.any():
            found = pts.astype(np.float64)
        elif is_timed.any() and not self.is_packed:
            found = repaired(stated, is_timed, 1 / (fps * float(self.time_base)))
        return replace(self, num_counted=len(origins), ticks=found, needs_decoding=False)

    @cached_property
    def displaced(self) -> NDArray[np.bool_]:
        """[p] packets whose timestamps cannot be true: no codec displays a frame so long before or after it is decoded."""
        found = np.zeros(len(self.pts), np.bool_)
        places = np.flatnonzero(self.shown & (self.pts != UNTIMED))
        ranks = np.argsort(np.argsort(self.pts[places], kind="stable"))
        found[places] = abs(ranks - np.arange(len(places))) > MAX_REORDERED * (2 if self.has_fields else 1)
        return found

    @cached_property
    def decode_order(self) -> NDArray[np.int64]:
        """[n] the packet that holds frame i."""
        if self.num_counted is not None:
            return np.arange(self.num_counted)
        if self.order is not None:
            return self.order
        shown = np.flatnonzero(self.shown)
        return shown[np.argsort(self.pts[shown], kind="stable")]

    @cached_property
    def frame_of(self) -> NDArray[np.int64]:
        """[p] the frame that a packet holds, -1 if it is not displayed; only for videos with reliable timestamps."""
        frames = np.full(len(self.pts), -1, np.int64)
        frames[self.decode_order] = np.arange(self.num_frames)
        return frames

    @cached_property
    def _by_pts(self) -> tuple[array[int], NDArray[np.int64]]:
        order = np.lexsort(
            (~self.shown, self.pts)
        )  # of packets with one timestamp, that of a displayed frame comes first
        return array("q", self.pts[order].tobytes()), order

    def packet_at(self, pts: int | None) -> int | None:
        """The packet with a presentation timestamp; None if there is none."""
        known, order = self._by_pts
        if pts is None:
            return None
        rank = bisect_left(known, pts)
        return int(order[rank]) if rank < len(known) and known[rank] == pts else None

    @property
    def num_frames(self) -> int:
        """Number of displayed frames."""
        return len(self.decode_order)

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """[k] packets at which decoding can start, in decoding order; the first packet always counts as one."""
        keys = np.flatnonzero(self.key) if self.num_counted is None else np.zeros(1, np.int64)
        return keys if len(keys) and keys[0] == 0 else np.concatenate([[0], keys]).astype(np.int64)

    @cached_property
    def key_frames(self) -> NDArray[np.int64]:
        """[k] frames that decode by themselves, in display order; none if timestamps are unreliable."""
        if self.num_counted is not None:
            return np.zeros(0, np.int64)
        return np.sort(self.frame_of[np.flatnonzero(self.key & self.shown)])

    @property
    def first_s(self) -> float:
        """Timestamp of the first displayed frame in seconds; 0.0 if it has none."""
        pts = self.pts[self.shown & (self.pts != UNTIMED)]
        return float(int(pts.min()) * self.time_base) if len(pts) else 0.0

    def change_before(self, packet: int) -> int:
        """The last of `changes` at or before a packet; -1 if the file's own header holds."""
        place = bisect_right(self.changes, packet)
        return self.changes[place - 1] if place else -1

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """[n] the last packet of frame i: a frame may have a second packet, that of its second field."""
        if self.order is None:
            return self.decode_order
        following = np.append(np.flatnonzero(self.shown), len(self.pts))
        return following[np.searchsorted(following, self.order, side="right")] - 1

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """[n] the packet at which decoding has to start for frame i.

        It is the last keyframe that is neither decoded nor displayed after the frame. A frame that is decoded after a
        keyframe but displayed before it (in an open GOP) also refers to frames before that keyframe.
        """
        if self.num_counted is not None:
            return np.zeros(self.num_frames, np.int64)
        keys = self.keys
        by_decoding = np.searchsorted(keys, self.decode_order, side="right") - 1
        # The minimum over all later keyframes makes the timestamps ascend, as the search below needs.
        place = self.pts if self.order is None else np.where(self.shown, self.frame_of, self.num_frames)
        key_pts = np.minimum.accumulate(place[keys][::-1])[::-1]
        by_display = np.searchsorted(key_pts, place[self.decode_order], side="right") - 1
        return keys[np.maximum(np.minimum(by_decoding, by_display), 0)]

    @cached_property
    def is_intra(self) -> bool:
        """Whether all frames decode by themselves."""
        return bool(self.key.all()) and len(self.key) > 1

    @cached_property
    def doubtful(self) -> NDArray[np.bool_]:
        """[n] whether a packet may be missing in the frame's group: it is next to one of few gaps in the timestamps.

        A decoder without a frame that others refer to takes another in its place, often without a word. Which one depends on
        what it decoded before.
        """
        found = np.zeros(self.num_frames, np.bool_)
        if self.num_counted is None and not self.is_intra and len(found) > 2:
            steps = np.diff(self.pts[self.decode_order] if self.ticks is None else self.ticks)
            gaps = np.flatnonzero(steps > _GAP * np.median(steps))
            if 0 < len(gaps) <= max(_MAX_GAPS * len(steps), 3):
                found = np.isin(self.starts, self.starts[np.append(gaps, gaps + 1)])
        return found

    def runs(self, frames: NDArray[np.int64]) -> list[DecodeRun]:
        """Split sorted frames into runs, with a seek in between if it saves more packets than it costs."""
        starts, doubtful = self.starts[frames], self.doubtful[frames]
        ends = np.maximum.accumulate(self.decode_order[frames])
        min_saved = 1 if self.is_intra else _MIN_PACKETS_SAVED
        is_apart = (doubtful[1:] | doubtful[:-1]) & (starts[1:] != starts[:-1])
        cuts = np.flatnonzero(is_apart | (starts[1:] - ends[:-1] > min_saved)) + 1
        parts = np.split(frames, cuts)
        return [DecodeRun(int(self.starts[part].min()), part, bool(self.doubtful[part[0]])) for part in parts]

    @cached_property
    def release(self) -> NDArray[np.int64]:
        """[n] the frame with which all frames have been output that were decoded before frame i."""
        return np.maximum.accumulate(self.frame_of)[self.decode_order]

    def group(self, frames: NDArray[np.int64]) -> DecodeRun:
        """A run that decodes damaged frames the same way, whichever frames of one keyframe are requested.

        It starts some keyframes early, because decoding may fail at what is marked as a keyframe. It wants all frames that
        start at the same keyframe as the first of `frames`.
        """
        start = self.starts[frames[0]]
        key = int(np.searchsorted(self.keys, start))
        return DecodeRun(int(self.keys[max(key - EARLIER_KEYS, 0)]), np.flatnonzero(self.starts == start))

    def times_s(self, fps: float) -> NDArray[np.float64]:
        """[n] display times in seconds, the first at 0.0; multiples of 1 / `fps` if timestamps are unusable."""
        ticks = self.ticks
        if ticks is None and self.num_counted is not None:
            return np.arange(self.num_counted) / fps
        if ticks is None:
            ticks = self.pts[self.decode_order].astype(np.float64)
        return (ticks - ticks[:1]) * self.time_base.numerator / self.time_base.denominator


def scan(container: InputContainer, stream: av.VideoStream) -> PacketIndex:
    """Read all packets of a stream once, without decoding. The index of a truncated file ends where the file does."""
    time_base = stream.time_base or Fraction(1, 1000)
    clock = _Clock(time_base, may_jump=container.format.name in _BROADCAST)
    found = _PacketScan(clock, NumberingCheck(stream.codec_context))
    is_broken = False
    try:
        for packet in packets_of(container, stream):
            found.add(packet)
    except av.FFmpegError:
        is_broken = True
    pts = np.frombuffer(found.pts, np.int64)
    key, shown = np.frombuffer(found.key, bool), np.frombuffer(found.shown, bool).copy()
    num_hidden = int(np.argmax(key)) if key.any() else 0
    num_headless = 0 if container.format.name in _BEGINNING_ANYWHERE else int(shown[:num_hidden].sum())
    shown[:num_hidden] = False  # frames before the first keyframe refer to frames that the file does not have
    if key.any() and not found.is_untimed:
        shown &= pts >= pts[num_hidden]
    is_packed = stream.codec_context.name == "mpeg4" and found.has_placeholder
    has_jumps = found.clock.offset != 0
    compared = pts[shown] if found.check.is_vp8 else pts  # invisible frames may have the timestamp of a visible one
    is_unreliable = has_jumps or found.is_untimed or is_packed or len(np.unique(compared)) != len(compared)
    index = PacketIndex(
        pts, key, shown, time_base, found.last_ticks, len(pts) if is_unreliable else None, has_jumps, found.packets,
        is_packed=is_packed, needs_decoding=found.check.needs_decoding, has_fields=found.check.has_fields,
        changes=tuple(found.changes), num_headless=num_headless, is_broken=is_broken,
    )  # fmt: skip
    return replace(index, needs_decoding=True) if index.displaced.any() else index


class _Clock:
    """Finds jumps in timestamps and the offset that removes them.

    Args:
        time_base: seconds in a tick.
        may_jump: whether a long forward step is a jump; otherwise it is a frame that was displayed for a long time.
    """

    def __init__(self, time_base: Fraction, *, may_jump: bool) -> None:
        self._max_backward = -int(_BACKWARD_JUMP_S / time_base)
        self._max_forward = int(JUMP_S / time_base) if may_jump else 1 << 62
        self._last: int | None = None
        self._step = 0
        self.offset = 0

    def update(self, dts: int) -> None:
        """Take the next decoding timestamp; `offset` is then what has to be added to this packet's timestamps."""
        # Decoding timestamps ascend, presentation timestamps do not: only the former show a jump. Behind one the packet is
        # put one usual step after the last, and `offset` stays for all packets up to the next jump.
        time = dts + self.offset
        if self._last is not None:
            if self._max_backward <= time - self._last <= self._max_forward:
                self._step = max(time - self._last, 0) or self._step
            else:
                self.offset += self._last + self._step - time
                time = self._last + self._step
        self._last = time


class _PacketScan:
    """Collects what the index needs from each packet."""

    def __init__(self, clock: _Clock, check: NumberingCheck) -> None:
        self.clock, self.check = clock, check
        self.pts, self.key, self.shown = array("q"), bytearray(), bytearray()
        self.is_untimed = self.has_placeholder = False
        self.last_pts, self.last_ticks = -(1 << 63), 0
        self.packets: list[av.Packet] | None = []
        self.changes: list[int] = []
        self.num_bytes = 0

    def add(self, packet: av.Packet) -> None:
        """Add a packet to the index; keep the packet itself while all of them fit into memory."""
        pts, size = packet.pts, packet.size
        is_shown = not packet.is_discard
        if pts is None:
            if not size:
                return  # PyAV's marker of the end
            self.is_untimed, pts = True, UNTIMED
        else:
            if packet.dts is not None and is_shown:  # packets that an edit hides have times of their own
                self.clock.update(packet.dts)
            pts += self.clock.offset
        is_shown = is_shown and self.check.add(packet, pts)
        if pts > self.last_pts:
            self.last_pts, self.last_ticks = pts, packet.duration or 0
        if packet.is_keyframe and packet.has_sidedata("new_extradata"):
            self.changes.append(len(self.pts))
        self.pts.append(pts)
        self.key.append(self.check.is_key(packet))
        self.shown.append(is_shown)
        self.has_placeholder |= size < _PLACEHOLDER_BYTES
        self.num_bytes += size + _PACKET_BYTES
        if self.packets is not None:
            self.packets.append(packet)
            if self.num_bytes > KEEP_BYTES:
                self.packets = None
