"""Decode frames of a file by their number with PyAV (FFmpeg): all frames of a request in one pass, exact, with few seeks.

What makes it fast: packets are read once and kept (small videos) or read after a seek to a known keyframe (large ones);
a seek is made only if a later keyframe lies before the next wanted frame; frames that nobody requested and no other
frame refers to are not decoded. The pixels stay the same to the bit: H.264, MPEG-2 and MPEG-4 mark such frames.

What makes it right: frames are identified by their timestamps, not by counting. At a sign of damage (an error, a frame
that FFmpeg marks as corrupt, one that is not output or comes late) all frames that depend on the same keyframe are decoded
again from some keyframes earlier, with no frame skipped. So a damaged frame, too, has the same pixels however it is reached.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from operator import itemgetter

import av
import numpy as np
from numpy.typing import NDArray

from kinema.errors import EmptyVideo, UnreadableVideo
from kinema.video.decode_threads import choose_threads
from kinema.video.ffv1 import Checksums
from kinema.video.packet_reader import PacketReader
from kinema.video.packets import DecodeRun, IndexSet, PacketIndex
from kinema.video.reference_frames import ReferenceFrames

# Codecs whose streams mark non-reference frames without exception. Not HEVC: its marks hold within one temporal layer only.
_SKIPPING_CODECS = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
_KEPT_BYTES = 64 << 20  # decoded frames of a video that had to be decoded for counting are kept up to this size
_MAX_REORDERED = 16  # frames: the most by which H.264 and HEVC change the order
_MAX_PROBED_PACKETS = 500  # packets to send before the first frame must be output


Numbered = tuple[int, av.VideoFrame]
"""A frame and its number."""


class FrameDecoder:
    """Decodes numbered frames of a file; the decoder's state is kept from one request to the next.

    One decoder serves all requests. A generator of this class is invalid once another request has started: compare
    `request` to find out.

    Args:
        path: the file.
        threads: decoding threads; None takes one for small frames and short videos, else two per core (at most 8).

    Attributes:
        index: of the packets.
        request: number of requests so far.
        can_skip: whether the stream marks non-reference frames.
        promised_s: duration in seconds by the header; 0.0 if it has none or is meaningless.
        zero_s: the timestamp at which a player begins.
        late_s: how long after the sound the first frame is displayed.
        nominal_fps: frame rate by the header.
        pixel_aspect: width of a stored pixel over its height.
        num_refused: packets that gave no frame, of a video that was decoded as a whole to number its frames.
        concealed: frames of such a video that FFmpeg marks as corrupt.

    Raises:
        UnreadableVideo: not a video, damaged, or no video track.
        EmptyVideo: the video track has no frames.
    """

    def __init__(self, path: str, threads: int | None = None) -> None:
        self._path = path
        reader = self._reader = PacketReader(path)
        self._codec, self.index, self.request = reader.codec, reader.index, 0
        self.nominal_fps, self.pixel_aspect = reader.nominal_fps, reader.pixel_aspect
        self.num_refused, self.concealed = 0, set[int]()
        self.zero_s, self.late_s = reader.zero_s, reader.first_s - reader.zero_s
        end_s = 0.0 if self.index.has_jumps else reader.promised_end_s
        self.promised_s = max(end_s - reader.zero_s, 0.0) if end_s else 0.0
        # The state. A decoder outputs a frame some packets after it took the frame's packet, and after a drain (which makes
        # it output all that it holds) it takes no more packets until it is flushed. So to go on where the last request
        # ended is only possible without a drain in between, and only for frames that it was not told to skip.
        self._next_packet = 0  # the next packet to send
        self._num_output = 0  # frames output since packet 0 (of videos whose frames are counted)
        self._can_resume, self._is_sequential = True, False  # not drained since the last flush; requests go on
        self._in_decoder: set[int] = set()  # packets sent without permission to skip, whose frames are not output yet
        self._ready: dict[int, av.VideoFrame] = {}  # frames that were output but not requested so far
        self._change = -1  # the packet that brought the decoder its header, -1: the file's own
        self._is_damaged, self._last_index = False, -1  # a sign of damage since the last restart; the frame output last
        self._checksums: Checksums | None = None  # of FFV1
        try:
            if not self.index.num_frames:
                raise EmptyVideo("no frames in this video", path, "record or export it again")
            self._num_threads = threads or choose_threads(self._codec.width * self._codec.height, self.index.num_frames)
            self._set_threads()
            if self.index.num_counted is not None or self.index.needs_decoding:
                self.index = self._number_by_decoding()
            if self._codec.name == "ffv1":
                self._checksums = Checksums(bytes(packet) for _, packet in self._reader.packets(0))
            self._is_intra = bool(self.index.key.all()) and len(self.index.key) > 1  # all frames decode by themselves
            timed = self.index.num_counted is None and self.index.order is None
            self.can_skip = timed and self._codec.name in _SKIPPING_CODECS
        except BaseException:
            self.close()
            raise

    def _number_by_decoding(self) -> PacketIndex:
        """The index of a video whose timestamps do not tell its frames: all are decoded, and kept if they are few."""
        frames: list[av.VideoFrame] | None = []
        origins, num_bytes = array("q"), 0
        self._restart(0)
        for number, packet in itertools.chain(self._packets(0), [(-1, None)]):
            # A frame has the timestamp of its packet: for this pass that is the packet's number.
            if packet is not None:
                stated, packet.pts = packet.pts, number
            self._is_damaged = False
            batch = self._send(packet)
            if packet is not None:
                packet.pts = stated
                self.num_refused += self._is_damaged and bool(self.index.shown[number])
            self.concealed |= {len(origins) + place for place, frame in enumerate(batch) if frame.is_corrupt}
            origins.extend(-1 if frame.pts is None else frame.pts for frame in batch)
            num_bytes += sum(plane.buffer_size for frame in batch for plane in frame.planes)
            if frames is not None:
                frames.extend(batch)
                if num_bytes >= _KEPT_BYTES:
                    frames = None
        self._can_resume = False
        if not origins:
            raise UnreadableVideo("no frame of this video can be decoded", self._path, "export it again")
        self._ready = dict(enumerate(frames or []))
        if self.index.num_counted is None and not self.index.has_fields:
            self.num_refused = int(self.index.shown.sum()) - len(origins)
        self._is_damaged = False
        return self.index.numbered(np.frombuffer(origins, np.int64), self.nominal_fps)

    def first_frame(self) -> av.VideoFrame:
        """The first frame that can be decoded; its size and rotation are right, those in containers may be wrong.

        Raises:
            UnreadableVideo: no frame of the first packets can be decoded.
        """
        if self._ready:
            return self._ready[0]
        self._restart(0)
        for number, packet in self._packets(0):
            frames = self._send(packet)
            self._next_packet = number + 1
            if self.index.num_counted is None:
                self._in_decoder.add(number)
            if frames or number > _MAX_PROBED_PACKETS:
                break
        else:
            frames, self._can_resume = self._send(None), False
        if not frames:
            raise UnreadableVideo("the video cannot be decoded", self._path, "it is damaged: export it again")
        self._ready = {} if self._is_damaged or any(f.is_corrupt for f in frames) else dict(self._number(frames))
        return frames[0]

    def decode(self, wanted: NDArray[np.int64]) -> Iterator[Numbered]:
        """Yield number and frame of sorted frames, without those that cannot be decoded.

        Args:
            wanted: frame numbers, ascending and unique.
        """
        self.request += 1
        while len(wanted):
            runs = self.index.runs(wanted)
            for number, run in enumerate(runs):
                left = yield from self._ready_frames(run.wanted)
                if not len(left):
                    continue
                # To drain costs fewer packets than to wait for the last frames, but then the next request cannot resume.
                drain = number + 1 < len(runs) or not self._is_sequential
                left = yield from self._decode_run(DecodeRun(run.start, left), drain=drain)
                left = yield from self._decode_again(left)
                if len(left):  # the damage ended before the run did
                    break
            else:
                return
            wanted = np.concatenate([left, *(run.wanted for run in runs[number + 1 :])])

    def decode_keyframes(self, wanted: NDArray[np.int64]) -> Iterator[Numbered]:
        """Yield number and frame of keyframes, each decoded alone; one that fails alone is decoded from further back.

        Videos without complete keyframes (x264's intra-refresh) mark frames as keyframes that do not decode alone.
        """
        for key in wanted[:, None]:
            self.request += 1
            left = yield from self._decode_run(DecodeRun(int(self.index.starts[key[0]]), key), drain=True)
            yield from self._decode_again(left)

    def decode_reference_frames(
        self, wanted: NDArray[np.int64], count_damaged: Callable[[NDArray[np.int64], int], None]
    ) -> Iterator[Numbered]:
        """Yield the reference frames from the start of each run to its last frame or just past it, in order.

        Args:
            wanted: frame numbers, ascending and unique.
            count_damaged: is called at the end with the damaged frames and the number of those that were due.
        """
        record = ReferenceFrames(self.index.num_frames, self._codec)
        for run in self.index.runs(wanted):
            self.request += 1
            self._restart(run.start)
            last = int(run.wanted[-1])
            for number, packet in itertools.chain(self._packets(run.start), [(-1, None)]):
                self._codec.skip_frame = "NONREF"
                if packet is not None:
                    record.add_packet(int(self.index.frame_of[number]), packet)
                frames = list(self._number(self._send(packet)))
                record.add_decoded([index for index, _ in frames])
                self._next_packet, self._can_resume = number + 1, False  # frames were skipped: the next run starts anew
                yield from frames
                if frames and frames[-1][0] >= last:
                    break
            record.end(last)
        expected, missing = record.nearest(wanted)
        # A missing frame that can be decoded with nothing skipped is not damaged: the decoder had to start there without a
        # clean keyframe, and withheld its first frames.
        self._next_packet = len(self.index.pts)
        found = [index for index, _ in self._decode_again(missing)]
        count_damaged(np.setdiff1d(missing, found), len(expected))

    def lasts_until_s(self, duration_s: float) -> float:
        """The duration that the header promises of the video, which lasts `duration_s`; 0.0 if it is that of the sound."""
        return self._reader.promised_video_s(self.promised_s, duration_s)

    def close(self) -> None:
        """Close the file and release the decoded frames."""
        self._ready = {}
        self._reader.close()

    def _ready_frames(self, wanted: NDArray[np.int64]) -> Generator[Numbered, None, NDArray[np.int64]]:
        """Yield frames that are ready, up to the first one that is not, so that all frames come in order; return the rest."""
        ready, first = self._ready, 0
        for index in itertools.takewhile(ready.__contains__, map(int, wanted)):
            first += 1
            yield index, ready[index]
        return wanted[first:]

    def _decode_run(self, run: DecodeRun, *, drain: bool) -> Generator[Numbered, None, NDArray[np.int64]]:
        """Yield the frames of a run up to the first sign of damage; return those that were not output."""
        counted = self.index.num_counted is not None
        packets = self.index.decode_order[run.wanted]
        pending, needed = IndexSet(run.wanted), IndexSet(packets)
        last = int(self.index.ends[run.wanted].max())
        end = last if drain and not counted else len(self.index.pts)
        # A frame is held back until those are output that were decoded before it: they may turn out to be damaged.
        held: list[Numbered] = []
        self._move_to(run.start, packets)
        for number, packet in self._packets(self._next_packet):
            # Packets after the last wanted one only push its frame out. They may serve the next request: skip none.
            is_wanted = not self.can_skip or number in needed or number > last
            self._codec.skip_frame = "DEFAULT" if is_wanted else "NONREF"
            self._in_decoder.update([number] if is_wanted and not counted else [])
            frames = self._send(packet)
            self._next_packet = number + 1
            held += self._accept(frames, pending, run)
            if self._is_damaged and not counted:
                break
            while held and (counted or self.index.release[held[0][0]] <= self._last_index):
                yield held.pop(0)
            if not pending and not held:
                return run.wanted[:0]
            if number >= end:
                break
        if counted or not self._is_damaged:
            frames = self._send(None)
            self._can_resume = False
            held += self._accept(frames, pending, run)
            while held and (counted or not self._is_damaged):
                yield held.pop(0)
        return run.wanted[len(run.wanted) - len(pending) - len(held) :]

    def _decode_again(self, frames: NDArray[np.int64]) -> Generator[Numbered, None, NDArray[np.int64]]:
        """Decode what was left out at a sign of damage with the whole group of each frame; return what is not affected.

        The packets sent are the same whichever frames of a group are wanted, and none is skipped.
        """
        if not len(frames) or self.index.num_counted is not None:
            return frames[:0]
        is_affected = self.index.starts[frames] < self._next_packet
        if not self._is_damaged or not is_affected.any():
            is_affected[:] = True
        for group in self.index.groups(frames[is_affected]):
            self._restart(group.start)
            self._can_resume = False
            self._codec.skip_frame = "DEFAULT"
            last = int(self.index.ends[group.wanted].max())
            wanted = IndexSet(np.intersect1d(group.wanted, frames))
            for index, frame in self._in_order(group.start, last):
                if index in wanted:
                    yield index, frame
        self._ready, self._next_packet, self._can_resume, self._is_damaged = {}, 0, False, False
        return frames[~is_affected]

    def _in_order(self, start: int, last: int) -> Iterator[Numbered]:
        """Yield the frames of packets `start` to `last` in order, without those that come too late for it."""
        waiting: list[Numbered] = []
        following = 0
        for number, packet in itertools.chain(self._packets(start), [(-1, None)]):
            waiting += self._number(self._send(None if number > last else packet))
            waiting.sort(key=itemgetter(0))
            is_over = packet is None or number > last
            while len(waiting) > (0 if is_over else _MAX_REORDERED):
                index, frame = waiting.pop(0)
                if index >= following:
                    following = index + 1
                    yield index, frame
            if is_over:
                return

    def _accept(self, frames: Sequence[av.VideoFrame], pending: IndexSet, run: DecodeRun) -> list[Numbered]:
        """The pending ones of new frames up to a sign of damage; the others are kept for the next request."""
        numbered, accepted = list(self._number(frames)), []
        if numbered:
            self._ready = {index: frame for index, frame in numbered if index not in pending}
        counted = self.index.num_counted is not None
        for index, frame in numbered:
            if not counted:
                is_due = index not in pending or index == run.wanted[-len(pending)]
                is_late, self._last_index = index < self._last_index, index
                is_corrupt = frame.is_corrupt and self.index.starts[index] >= run.start
                if is_corrupt or is_late or not is_due:
                    self._is_damaged, self._ready = True, {}
                    break
            if index in pending:
                pending.remove(index)
                accepted.append((index, frame))
        return accepted

    def _number(self, frames: Sequence[av.VideoFrame]) -> Iterator[Numbered]:
        """Yield new frames with their numbers, without those that are not displayed."""
        for frame in frames:
            if self.index.num_counted is not None:
                self._num_output += 1
                yield self._num_output - 1, frame
            elif (packet := self.index.packet_at(frame.pts)) is not None:
                self._in_decoder.discard(packet)
                if frame.is_corrupt and self._is_intra:  # its damaged parts are whatever was in memory
                    self._is_damaged = True
                elif (index := int(self.index.frame_of[packet])) >= 0:
                    yield index, frame

    def _move_to(self, start: int, needed: NDArray[np.int64]) -> None:
        """Prepare the decoder for packet `start`, or leave it as it is if the needed frames are in it or still to come."""
        reached = self._next_packet if self.index.num_counted is None else self._num_output
        is_ahead = start <= reached and all(packet in self._in_decoder for packet in needed[needed < reached].tolist())
        if is_ahead and not self._can_resume:
            self._is_sequential = True  # without the drain of the last request this one could have gone on
        if not (is_ahead and self._can_resume) or (self._is_damaged and self.index.num_counted is None):
            self._restart(start)

    def _restart(self, packet: int) -> None:
        if self._checksums is not None:
            self._checksums.restart()
        change = self.index.change_before(packet)
        if change != self._change:
            self._set_header(change)
        self._codec.flush_buffers()
        self._can_resume, self._next_packet, self._num_output = True, packet, 0
        self._ready, self._in_decoder, self._is_damaged, self._last_index = {}, set(), False, -1
        self._reader.stop()

    def _set_header(self, change: int) -> None:
        """Give the decoder the header that a packet brings; -1 is that of the file."""
        if change < 0:
            self._codec = self._reader.open_codec()
            self._set_threads()
        else:
            self._reader.stop()
            self._codec.flush_buffers()
            self._send(next(packet for _, packet in self._reader.packets(change)))
            self._send(None)
        self._change = change

    def _set_threads(self) -> None:
        threads = self._num_threads
        self._codec.thread_count, self._codec.thread_type = threads, "AUTO" if threads > 1 else "NONE"

    def _packets(self, start: int) -> Iterator[tuple[int, av.Packet]]:
        """Number and packet from `start` on; keeps track of the header that the decoder has."""
        for number, packet in self._reader.packets(start):
            if self.index.changes:
                self._change = self.index.change_before(number)
            yield number, packet

    def _send(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Send a packet to the decoder, None to drain it: the frames that it outputs; none for a damaged packet."""
        checked = self._checksums if packet is not None else None
        if packet is not None and checked is not None and not checked.accepts(bytes(packet), packet.is_keyframe):
            self._is_damaged = True
            return []
        try:
            return list(self._codec.decode(packet))
        except EOFError:
            return []
        except av.FFmpegError:
            self._is_damaged = True
            return []
