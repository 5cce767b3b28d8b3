"""Decode frames of a file by their number with PyAV (FFmpeg): all frames of a request in one pass, exact, with few seeks.

What makes it fast: packets are read once and kept (small videos) or read after a seek to a known keyframe (large ones);
a seek is made only if a later keyframe lies before the next wanted frame; frames that nobody requested and no other
frame refers to are not decoded. The pixels stay the same to the bit: H.264, MPEG-2 and MPEG-4 mark such frames.

What makes it right: frames are identified by their timestamps, not by counting. A frame that is not output is decoded
again from some keyframes earlier, with no frame skipped, before it is called damaged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import av
import numpy as np
from numpy.typing import NDArray

from kinema.errors import EmptyVideo, UnreadableVideo
from kinema.machine import num_cores
from kinema.video.packet_reader import PacketReader
from kinema.video.packets import DecodeRun, IndexSet
from kinema.video.reference_frames import ReferenceFrames

# Codecs whose streams mark non-reference frames without exception. Not HEVC: its marks hold within one temporal layer only.
_SKIPPING_CODECS = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
# Threads take 20 to 40 % more processor time. On two idle cores they shortened reading 720p by a quarter and 640x360 by a
# tenth; at 320x240 clips took longer with them than without, however long the video.
_THREADED_PIXELS = 200_000  # of a frame
_THREADED_WORK = 30_000_000  # pixels of all frames together
_THREADS_PER_CORE = 2  # half of them wait for one another: four were faster than two or three on two cores
_MAX_THREADS = 8
_KEPT_BYTES = 64 << 20  # decoded frames of a video that had to be decoded for counting are kept up to this size
_MAX_PROBED_PACKETS = 500  # packets to send before the first frame must be output


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
        nominal_fps: frame rate by the header.
        pixel_aspect: width of a stored pixel over its height.

    Raises:
        UnreadableVideo: not a video, damaged, or no video track.
        EmptyVideo: the video track has no frames.
    """

    def __init__(self, path: str, threads: int | None = None) -> None:
        self._path = path
        reader = self._reader = PacketReader(path)
        self._codec, self.index, self.request = reader.codec, reader.index, 0
        self.nominal_fps, self.pixel_aspect = reader.nominal_fps, reader.pixel_aspect
        self.promised_s = 0.0 if self.index.has_jumps else reader.promised_s
        # The state. A decoder outputs a frame some packets after it took the frame's packet, and after a drain (which makes
        # it output all that it holds) it takes no more packets until it is flushed. So to go on where the last request
        # ended is only possible without a drain in between, and only for frames that it was not told to skip.
        self._next_packet = 0  # the next packet to send
        self._num_output = 0  # frames output since packet 0 (of videos whose frames are counted)
        self._can_resume = True  # not drained since the last flush
        self._is_sequential = False  # requests have followed each other: do not drain after the last run
        self._in_decoder: set[int] = set()  # packets sent without permission to skip, whose frames are not output yet
        self._ready: dict[int, av.VideoFrame] = {}  # frames that were output but not requested so far
        try:
            if not self.index.num_frames:
                raise EmptyVideo("no frames in this video", path, "record or export it again")
            if threads is None:
                pixels, cores = self._codec.width * self._codec.height, num_cores()
                pays = cores > 1 and pixels > _THREADED_PIXELS and pixels * self.index.num_frames > _THREADED_WORK
                threads = min(_THREADS_PER_CORE * cores, _MAX_THREADS) if pays else 1
            self._codec.thread_count = threads
            self._codec.thread_type = "AUTO" if threads > 1 else "NONE"
            self.can_skip = self._codec.name in _SKIPPING_CODECS and self.index.num_counted is None
            if self.index.num_counted is not None:
                self.index = replace(self.index, num_counted=self._count())
        except BaseException:
            self.close()
            raise

    def _count(self) -> int:
        """Number of frames of a video without usable timestamps: all are decoded, and kept if they are few."""
        frames: list[av.VideoFrame] | None = []
        count = num_bytes = 0
        self._restart(0)
        for _, packet in itertools.chain(self._reader.packets(0), [(-1, None)]):
            batch = self._send(packet)
            count += len(batch)
            num_bytes += sum(plane.buffer_size for frame in batch for plane in frame.planes)
            if frames is not None:
                frames.extend(batch)
                if num_bytes >= _KEPT_BYTES:
                    frames = None
        self._can_resume = False
        if not count:
            raise UnreadableVideo("no frame of this video can be decoded", self._path, "export it again")
        self._ready = dict(enumerate(frames or []))
        return count

    def first_frame(self) -> av.VideoFrame:
        """The first frame that can be decoded; its size and rotation are right, those in containers may be wrong.

        Raises:
            UnreadableVideo: no frame of the first packets can be decoded.
        """
        if self._ready:
            return self._ready[0]
        self._restart(0)
        for number, packet in self._reader.packets(0):
            frames = self._send(packet)
            self._next_packet = number + 1
            if self.index.num_counted is None:
                self._in_decoder.add(number)
            if frames or number > _MAX_PROBED_PACKETS:
                break
        else:
            frames = self._send(None)
            self._can_resume = False
        if not frames:
            raise UnreadableVideo("the video cannot be decoded", self._path, "it is damaged: export it again")
        self._ready = dict(self._number(frames))
        return frames[0]

    def decode(self, wanted: NDArray[np.int64], thorough: bool = False) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield number and frame of sorted frames, without those that cannot be decoded.

        Args:
            wanted: frame numbers, ascending and unique.
            thorough: start some keyframes earlier and skip no frame.
        """
        return self._decode_runs([self.index.thorough_run(wanted)] if thorough else self.index.runs(wanted), thorough)

    def decode_keyframes(self, wanted: NDArray[np.int64]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield number and frame of keyframes, each decoded alone; one that fails alone is decoded from further back.

        Videos without complete keyframes (x264's intra-refresh) mark frames as keyframes that do not decode alone.
        """
        for key in wanted[:, None]:
            self.request += 1
            alone = list(self._decode_run(DecodeRun(int(self.index.starts[key[0]]), key), drain=True, thorough=False))
            yield from alone or self.decode(key, thorough=True)

    def decode_reference_frames(
        self, wanted: NDArray[np.int64], count_damaged: Callable[[int, int], None]
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield the reference frames from the start of each run to its last frame or just past it, in order.

        Args:
            wanted: frame numbers, ascending and unique.
            count_damaged: is called at the end with the number of damaged frames and of those that were due.
        """
        record = ReferenceFrames(self.index.num_frames, self._codec)
        for run in self.index.runs(wanted):
            self.request += 1
            self._restart(run.start)
            last = int(run.wanted[-1])
            for number, packet in itertools.chain(self._reader.packets(run.start), [(-1, None)]):
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
        num_found = sum(1 for _ in self._decode_runs(self.index.thorough_runs(missing), thorough=True))
        count_damaged(len(missing) - num_found, len(expected))

    def close(self) -> None:
        """Close the file and release the decoded frames."""
        self._ready = {}
        self._reader.close()

    def _decode_runs(self, runs: list[DecodeRun], thorough: bool = False) -> Iterator[tuple[int, av.VideoFrame]]:
        self.request += 1
        for number, run in enumerate(runs):
            # Frames that are ready come first, up to the first one that is not, so that all frames come in order.
            ready, first = self._ready, 0
            for index in itertools.takewhile(ready.__contains__, map(int, run.wanted)):
                first += 1
                yield index, ready[index]
            if first < len(run.wanted):
                # To drain costs fewer packets than to wait for the last frames, but then the next request cannot resume.
                drain = number + 1 < len(runs) or not self._is_sequential
                yield from self._decode_run(DecodeRun(run.start, run.wanted[first:]), drain=drain, thorough=thorough)

    def _decode_run(self, run: DecodeRun, *, drain: bool, thorough: bool) -> Iterator[tuple[int, av.VideoFrame]]:
        counted = self.index.num_counted is not None
        packets = self.index.decode_order[run.wanted]
        pending, needed = IndexSet(run.wanted), IndexSet(packets)
        last, skips = int(packets.max()), self.can_skip and not thorough
        self._move_to(run.start, packets, resume=not thorough)
        for number, packet in self._reader.packets(self._next_packet):
            # Packets after the last wanted one only push its frame out. They may serve the next request: skip none.
            is_wanted = not skips or number in needed or number > last
            self._codec.skip_frame = "DEFAULT" if is_wanted else "NONREF"
            if is_wanted and not counted:
                self._in_decoder.add(number)
            frames = self._send(packet)
            self._next_packet = number + 1
            yield from self._hand_out(frames, pending)
            if not pending:
                return
            if drain and number >= last and not counted:
                break
        frames = self._send(None)
        self._can_resume = False
        yield from self._hand_out(frames, pending)

    def _hand_out(self, frames: Sequence[av.VideoFrame], pending: IndexSet) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield the pending ones of new frames, and keep the others for the next request."""
        numbered = list(self._number(frames))
        if numbered:
            self._ready = {index: frame for index, frame in numbered if index not in pending}
        for index, frame in numbered:
            if index in pending:
                pending.remove(index)
                yield index, frame

    def _number(self, frames: Sequence[av.VideoFrame]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield new frames with their numbers, without those that are not displayed."""
        for frame in frames:
            if self.index.num_counted is not None:
                self._num_output += 1
                yield self._num_output - 1, frame
            elif (packet := self.index.packet_at(frame.pts)) is not None:
                self._in_decoder.discard(packet)
                if (index := int(self.index.frame_of[packet])) >= 0:
                    yield index, frame

    def _move_to(self, start: int, needed: NDArray[np.int64], *, resume: bool) -> None:
        """Prepare the decoder for packet `start`, or leave it as it is if the needed frames are in it or still to come."""
        reached = self._next_packet if self.index.num_counted is None else self._num_output
        is_ahead = start <= reached and all(packet in self._in_decoder for packet in needed[needed < reached].tolist())
        if is_ahead and not self._can_resume:
            self._is_sequential = True  # without the drain of the last request this one could have gone on
        if not (resume and is_ahead and self._can_resume):
            self._restart(start)

    def _restart(self, packet: int) -> None:
        self._codec.flush_buffers()
        self._can_resume, self._next_packet, self._num_output = True, packet, 0
        self._ready, self._in_decoder = {}, set()
        self._reader.stop()

    def _send(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Send a packet to the decoder, None to drain it: the frames that it outputs; none for a damaged packet."""
        try:
            return self._codec.decode(packet)
        except (av.FFmpegError, EOFError):
            return []
