"""Decode frames of a file by their number with PyAV (FFmpeg): all frames of a request in one pass, exact, with few seeks.

What makes it fast: packets are read once and kept (small videos) or read after a seek to a known keyframe (large ones);
a seek is made only if a later keyframe lies before the next wanted frame; frames that nobody requested and no other
frame refers to are not decoded. The pixels stay the same to the bit: H.264, MPEG-2 and MPEG-4 mark such frames.

What makes it right: frames are identified by their timestamps, not by counting. At a sign of damage (an error, a frame
that FFmpeg marks as corrupt, one that is not output or comes late) all frames that depend on the same keyframe are decoded
again from some keyframes earlier, by a new decoder with one thread, with no frame skipped. Parts that a decoder leaves
unwritten show what its memory held before, so frames are converted at once and their memory given back: the same packets then
give the same pixels. So a damaged frame, too, has the same pixels however it is reached.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter

import av
import numpy as np
from numpy.typing import NDArray

from kinema.errors import EmptyVideo, UnreadableVideo
from kinema.video.decode_threads import choose_threads
from kinema.video.frames_in_order import Convert, Numbered, T, frames_in_order
from kinema.video.keyframe_check import KeyframeCheck, decodes_alone
from kinema.video.numbering import number_by_decoding
from kinema.video.packet_check import packet_check
from kinema.video.packet_decoder import PacketDecoder, conceals_silently
from kinema.video.packet_reader import PacketReader
from kinema.video.packets import MAX_REORDERED, DecodeRun, IndexSet, PacketIndex
from kinema.video.reference_frames import ReferenceFrames

# Codecs whose streams mark non-reference frames without exception. Not HEVC: its marks hold within one temporal layer only.
_SKIPPING_CODECS = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
_HOLDING_CODECS = _SKIPPING_CODECS - {"h264"}
_MAX_PROBED_PACKETS = 500  # packets to send before the first frame must be output


class FrameDecoder(PacketDecoder):
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
        num_refused: packets before the first keyframe, and those that gave no frame when a video was decoded to number them.
        concealed: frames met so far whose damage the decoder concealed.

    Raises:
        UnreadableVideo: not a video, damaged, or no video track.
        EmptyVideo: the video track has no frames.
    """

    def __init__(self, path: str, threads: int | None = None) -> None:
        self._path = path
        reader = PacketReader(path)
        super().__init__(reader)
        self.request = 0
        self.nominal_fps, self.pixel_aspect = reader.nominal_fps, reader.pixel_aspect
        self.num_refused, self.concealed = self.index.num_headless, set[int]()
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
        self._last_index = -1  # the frame output last
        self._refused: set[int] = set()  # packets that a decoder refused that was told to conceal nothing
        try:
            if not self.index.num_frames:
                raise EmptyVideo("no frames in this video", path, "record or export it again")
            self._num_threads = threads or choose_threads(self._codec.width * self._codec.height, self.index.num_frames)
            self._is_strict = self.index.num_counted is None and not self.index.needs_decoding
            self._set_options()
            if self.index.num_counted is not None or self.index.needs_decoding:
                self.index = self._number_by_decoding()
            self._check = packet_check(self._codec.name, (bytes(packet) for _, packet in self._reader.packets(0)))
            self._key_check = KeyframeCheck(self._codec, self._decode_alone)
            timed = self.index.num_counted is None and self.index.order is None
            self.can_skip = timed and self._codec.name in _SKIPPING_CODECS
        except BaseException:
            self.close()
            raise

    def _number_by_decoding(self) -> PacketIndex:
        """The index of a video whose timestamps do not tell its frames: all are decoded, and kept if they are few."""
        self._restart(0)
        found = number_by_decoding(self._packets(0), self._send_or_refuse)
        if not len(found.origins):
            raise UnreadableVideo("no frame of this video can be decoded", self._path, "export it again")
        self._can_resume, self._is_damaged = False, False
        self._ready, self.concealed = dict(enumerate(found.frames)), found.concealed
        self.num_refused += int(self.index.shown[found.refused].sum())
        if self.index.num_counted is None and not self.index.has_fields:
            self.num_refused = self.index.num_headless + int(self.index.shown.sum()) - len(found.origins)
        return self.index.numbered(found.origins, self.nominal_fps)

    def first_frame(self) -> av.VideoFrame:
        """The first frame that can be decoded; its size and rotation are right, those in containers may be wrong.

        Raises:
            UnreadableVideo: no frame of the first packets can be decoded.
        """
        if self._ready:
            return self._ready[0]
        for conceals in (False, *([True] if conceals_silently(self._codec) else [])):
            self._restart(0, conceals=conceals)
            frames: list[av.VideoFrame] = []
            for number, packet in self._packets(0):
                frames = self._send(packet)
                self._next_packet = number + 1
                if self.index.num_counted is None:
                    self._in_decoder.add(number)
                if frames or number > _MAX_PROBED_PACKETS:
                    break
            else:
                frames, self._can_resume = self._send(None), False
            if frames:
                is_damaged = conceals or self._is_damaged or any(frame.is_corrupt for frame in frames)
                self._ready = {} if is_damaged else dict(self._number(frames))
                self._can_resume &= not is_damaged
                return frames[0]
        raise UnreadableVideo("the video cannot be decoded", self._path, "it is damaged: export it again")

    def decode(self, wanted: NDArray[np.int64], convert: Convert[T]) -> Iterator[tuple[int, T]]:
        """Yield number and converted frame of sorted frames, without those that cannot be decoded.

        Args:
            wanted: frame numbers, ascending and unique.
            convert: makes of a number and a decoded frame what is yielded.
        """
        self.request += 1
        while len(wanted):
            index, runs = self.index, self.index.runs(wanted)
            for number, run in enumerate(runs):
                left = yield from self._ready_frames(run.wanted, convert)
                if not len(left):
                    continue
                # To drain costs fewer packets than to wait for the last frames, but then the next request cannot resume.
                drain = number + 1 < len(runs) or not self._is_sequential
                left = yield from self._decode_run(replace(run, wanted=left), convert, drain=drain)
                left = yield from self._decode_again(left, convert)
                if len(left) or self.index is not index:  # the damage ended before the run did, or keyframes are none
                    break
            else:
                return
            wanted = np.concatenate([left, *(run.wanted for run in runs[number + 1 :])])

    def decode_keyframes(self, wanted: NDArray[np.int64], convert: Convert[T]) -> Iterator[tuple[int, T]]:
        """Yield number and converted frame of keyframes, each decoded alone; one that fails alone is decoded from further back.

        Videos without complete keyframes (x264's intra-refresh) mark frames as keyframes that do not decode alone.
        """
        for key in wanted[:, None]:
            self.request += 1
            left = yield from self._decode_run(DecodeRun(int(self.index.starts[key[0]]), key), convert, drain=True)
            yield from self._decode_again(left, convert)

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
                self.concealed.update(index for index, frame in frames if frame.is_corrupt)
                self._next_packet, self._can_resume = number + 1, False  # frames were skipped: the next run starts anew
                yield from frames
                if frames and frames[-1][0] >= last:
                    break
            record.end(last)
        expected, missing = record.nearest(wanted)
        # A missing frame that can be decoded with nothing skipped is not damaged: the decoder had to start there without a
        # clean keyframe, and withheld its first frames.
        self._next_packet = len(self.index.pts)
        found = [index for index, _ in self._decode_again(missing, lambda *_: None)]
        count_damaged(np.setdiff1d(missing, found), len(expected))

    def lasts_until_s(self, duration_s: float) -> float:
        """The duration that the header promises of the video, which lasts `duration_s`; 0.0 if it is that of the sound."""
        return self._reader.promised_video_s(self.promised_s, duration_s)

    def close(self) -> None:
        """Close the file and release the decoded frames."""
        self._ready = {}
        self._reader.close()

    def _ready_frames(
        self, wanted: NDArray[np.int64], convert: Convert[T]
    ) -> Generator[tuple[int, T], None, NDArray[np.int64]]:
        """Yield frames that are ready, up to the first one that is not, so that all frames come in order; return the rest."""
        ready, first = self._ready, 0
        for index in itertools.takewhile(ready.__contains__, map(int, wanted)):
            first += 1
            yield index, convert(index, ready[index])
        return wanted[first:]

    def _decode_run(
        self, run: DecodeRun, convert: Convert[T], *, drain: bool
    ) -> Generator[tuple[int, T], None, NDArray[np.int64]]:
        """Yield the frames of a run up to the first sign of damage; return those that were not output."""
        counted = self.index.num_counted is not None
        packets = self.index.decode_order[run.wanted]
        pending, needed = IndexSet(run.wanted), IndexSet(packets)
        last = int(self.index.ends[run.wanted].max())
        end = last if drain and not counted else len(self.index.pts)
        # A frame is held back until those are output that were decoded before it: they may turn out to be damaged.
        held: list[tuple[int, T]] = []
        self._move_to(run, packets)
        for number, packet in self._packets(self._next_packet):
            # Packets after the last wanted one only push its frame out. They may serve the next request: skip none.
            is_wanted = not self.can_skip or run.is_doubtful or number in needed or number > last
            self._codec.skip_frame = "DEFAULT" if is_wanted else "NONREF"
            self._in_decoder.update([number] if is_wanted and not counted else [])
            frames = self._send(packet)
            self._next_packet = number + 1
            self._note_refusal(number)
            held += self._accept(frames, pending, run, convert)
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
            self._note_refusal(last)
            held += self._accept(frames, pending, run, convert)
            while held and (counted or not self._is_damaged):
                yield held.pop(0)
        return run.wanted[len(run.wanted) - len(pending) - len(held) :]

    def _decode_again(
        self, frames: NDArray[np.int64], convert: Convert[T]
    ) -> Generator[tuple[int, T], None, NDArray[np.int64]]:
        """Decode what was left out at a sign of damage with the whole group of each frame; return what is not affected.

        The packets sent are the same whichever frames of a group are wanted, none is skipped, and the decoder is new.
        """
        if not len(frames) or self.index.num_counted is not None:
            return frames[:0]
        is_affected = self.index.starts[frames] < self._next_packet
        if not self._is_damaged or not is_affected.any():
            is_affected[:] = True
        self.index = self._key_check.without_false_keys(self.index, frames[is_affected])
        affected = frames[is_affected]
        for part in np.split(affected, np.flatnonzero(np.diff(self.index.starts[affected])) + 1):
            group = self.index.group(part)
            last = int(self.index.ends[group.wanted].max())
            refused = min((packet for packet in self._refused if group.start <= packet <= last), default=last + 1)
            wanted = IndexSet(part)
            held = self._decode_held(group, last, wanted, convert)
            again = list[int]()  # packets that the decoder refuses once more; it may show what it has of their frames
            found = frames_in_order(self._batches(group.start, last, again), wanted, convert)
            for index, made, is_corrupt in heapq.merge(held, found, key=itemgetter(0)):
                if is_corrupt or self.index.decode_order[index] >= refused or self.index.decode_order[index] in again:
                    self.concealed.add(index)
                yield index, made
        self._ready, self._next_packet, self._can_resume, self._is_damaged = {}, 0, False, False
        return frames[~is_affected]

    def _decode_held(
        self, group: DecodeRun, last: int, wanted: IndexSet, convert: Convert[T]
    ) -> list[tuple[int, T, bool]]:
        """Decode frames that the decoder drops because it refuses a later packet, each without that packet.

        A decoder of MPEG holds a frame back until the next one that others refer to.
        """
        if self._codec.name not in _HOLDING_CODECS:
            return []
        refused, made, found = list[int](), list[tuple[int, T, bool]](), set[int]()
        for frames in self._batches(group.start, last, refused):
            found.update(index for index, _ in frames)
        for frame in group.wanted.tolist():
            packet = int(self.index.decode_order[frame])
            following = [other - packet for other in refused if other >= packet]
            if frame in wanted and frame not in found and following and 0 < min(following) <= MAX_REORDERED:
                batches = self._batches(group.start, int(self.index.ends[frame]), [])
                made += frames_in_order(batches, IndexSet(np.array([frame])), convert)
        return made

    def _batches(self, start: int, last: int, refused: list[int]) -> Iterator[list[Numbered]]:
        """Yield the frames of packets `start` to `last` as a new decoder outputs them that conceals errors.

        Packets that it refuses are appended to `refused`.
        """
        self._restart(start, conceals=True)
        self._can_resume = False
        self._codec.skip_frame = "DEFAULT"
        for number, packet in self._packets(start):
            if number > last:
                break
            frames = self._send_or_refuse(packet)
            refused += [number] if frames is None else []
            yield list(self._number(frames or []))
        yield list(self._number(self._send(None)))

    def _decode_alone(self, packet: int) -> list[av.VideoFrame]:
        """What the decoder makes of a packet by itself."""
        self._restart(packet)
        return [*self._send(next(found for _, found in self._packets(packet))), *self._send(None)]

    def _accept(
        self, frames: Sequence[av.VideoFrame], pending: IndexSet, run: DecodeRun, convert: Convert[T]
    ) -> list[tuple[int, T]]:
        """The pending ones of new frames up to a sign of damage, converted; those behind the run are kept for the next."""
        numbered, accepted = list(self._number(frames)), []
        counted = self.index.num_counted is not None
        if numbered:
            self._ready = {}
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
                accepted.append((index, convert(index, frame)))
            elif not pending:
                self._ready[index] = frame
        return accepted

    def _number(self, frames: Sequence[av.VideoFrame]) -> Iterator[Numbered]:
        """Yield new frames with their numbers, without those that are not displayed."""
        for frame in frames:
            if self.index.num_counted is not None:
                self._num_output += 1
                yield self._num_output - 1, frame
            elif (packet := self.index.packet_at(frame.pts)) is not None:
                self._in_decoder.discard(packet)
                is_false_key = packet == self._start > 0 and self._key_check.is_needed and not decodes_alone(frame)
                if is_false_key or (
                    frame.is_corrupt and self.index.is_intra
                ):  # its damaged parts are whatever was in memory
                    self._is_damaged = True
                elif (index := int(self.index.frame_of[packet])) >= 0:
                    yield index, frame

    def _note_refusal(self, packet: int) -> None:
        if self._is_damaged and conceals_silently(self._codec):
            self._refused.add(packet)

    def _move_to(self, run: DecodeRun, needed: NDArray[np.int64]) -> None:
        """Prepare the decoder for a run, or leave it as it is if the needed frames are in it or still to come."""
        reached = self._next_packet if self.index.num_counted is None else self._num_output
        is_ahead = run.start <= reached and all(
            packet in self._in_decoder for packet in needed[needed < reached].tolist()
        )
        if is_ahead and not self._can_resume:
            self._is_sequential = True  # without the drain of the last request this one could have gone on
        is_ahead &= not run.is_doubtful or (self._is_new and self._start == run.start)
        if not (is_ahead and self._can_resume) or (self._is_damaged and self.index.num_counted is None):
            self._restart(run.start, is_new=run.is_doubtful)

    def _restart(self, packet: int, *, is_new: bool = False, conceals: bool = False) -> None:
        super()._restart(packet, is_new=is_new, conceals=conceals)
        self._can_resume, self._next_packet, self._num_output = True, packet, 0
        self._ready, self._in_decoder, self._last_index = {}, set(), -1
