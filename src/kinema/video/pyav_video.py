"""Films read with PyAV (FFmpeg): exact frames by display number, all clips of a file in one pass.

What makes it quick: packets are read once and kept (small films) or sought by a known keyframe (large ones); a jump is
made only where a later keyframe lies before the next wanted frame; frames that nobody wants and no other frame refers
to are never decoded (bit-exact: in H.264, MPEG-2 and MPEG-4 the stream itself marks them); pixels are resized while
they turn into RGB.

What makes it right: frames are known by their timestamps, not by counting; a frame that does not come out is looked for
once more from some keyframes earlier, with nothing left out, before it is called damaged.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import av
import numpy as np
from numpy.typing import NDArray

from kinema.errors import EmptyVideo, UnreadableVideo
from kinema.machine import num_cores
from kinema.types import VideoInfo
from kinema.video.contract import FastSeek, Frame, Video
from kinema.video.nearest_decoded import stand_ins
from kinema.video.packet_reader import Feed
from kinema.video.packets import Flags, Run
from kinema.video.pixels import Painter, turn_of
from kinema.video.reference_frames import Referred

_log = logging.getLogger("kinema")

_KINDS = {"nonref": "never referred to", "keyframes": "keyframes"}
# Codecs in which "no other frame refers to this one" is said by the stream and holds without exception. Not HEVC: there
# it holds within one temporal layer only.
_SKIPPING_CODECS = frozenset({"h264", "mpeg4", "mpeg2video", "mpeg1video"})
# Threads cost a fifth to two fifths more processor time. On two idle cores they shortened reading 720p by a quarter and
# 640x360 by a tenth; at 320x240 clips took longer with them than without, however long the film.
_THREADED_PIXELS = 200_000  # of a frame
_THREADED_WORK = 30_000_000  # pixels of all frames together
_THREADS_PER_CORE = 2  # half of them wait for one another: four were quicker than two or three on two cores
_MAX_THREADS = 8
_KEPT_BYTES = 64 << 20  # films that had to be decoded once to be counted stay decoded up to this size
_PROBED_PACKETS = 500  # how many packets may pass before the first picture


class Film(Video):
    """A video file read with PyAV; see `kinema.video.open_video`.

    Args:
        path: the file.
        threads: decoding threads; None takes one for small frames and short films, else two a core (at most 8).

    Raises:
        UnreadableVideo: not a video, damaged, or no picture track in it.
        EmptyVideo: a picture track without frames.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        self._path = os.fspath(path)
        self._threads = threads
        self._feed: Feed | None = None
        self._run_number = 0  # which call the decoder works for: a generator notices when another took it over
        self._next = self._emitted = 0  # next packet to feed; frames that came out since the start (counted films)
        self._fresh, self._steady = True, False
        self._spare: dict[int, av.VideoFrame] = {}
        self._flying: set[int] = set()  # packets whose frames are wanted and still inside the decoder
        try:
            self._open()
            self._describe()
        except BaseException:
            self.close()
            raise

    # Opening ----------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        feed = self._feed = Feed(self._path)
        self._index = feed.index
        self.promised_s = 0.0 if self._index.leaps else feed.promised_s
        if not self._index.num_frames:
            raise EmptyVideo("no frames in this video", self._path, "record or export it again")
        self._packets, self._codec, self._nominal_fps = feed.packets, feed.codec, feed.nominal_fps
        self.pixel_aspect = feed.pixel_aspect
        self._set_threads()
        self._skips = self._codec.name in _SKIPPING_CODECS and self._index.counted is None
        if self._index.counted is not None:
            self._index = replace(self._index, counted=self._count())

    def _set_threads(self) -> None:
        codec = self._codec
        threads = self._threads
        if threads is None:
            pixels, cores = codec.width * codec.height, num_cores()
            pays = cores > 1 and pixels > _THREADED_PIXELS and pixels * self._index.num_frames > _THREADED_WORK
            threads = min(_THREADS_PER_CORE * cores, _MAX_THREADS) if pays else 1
        codec.thread_count = threads
        codec.thread_type = "AUTO" if threads > 1 else "NONE"

    def _count(self) -> int:
        """Number of frames that the decoder gives: without timestamps only decoding tells. Small films stay decoded."""
        pictures: list[av.VideoFrame] | None = []
        count = num_bytes = 0
        self._restart(0)
        for batch in itertools.chain(
            (self._send(packet) for _, packet in self._packets(0)), (self._send(None) for _ in "1")
        ):
            count += len(batch)
            num_bytes += sum(plane.buffer_size for picture in batch for plane in picture.planes)
            if pictures is not None:
                pictures.extend(batch)
                if num_bytes >= _KEPT_BYTES:
                    pictures = None
        self._fresh = False
        if not count:
            raise UnreadableVideo("no frame of this video can be decoded", self._path, "export it again")
        self._spare = dict(enumerate(pictures or []))
        return count

    def _describe(self) -> None:
        picture = self._first_picture()
        self._turn = turn_of(picture)
        height, width = (picture.width, picture.height) if self._turn.transposed else (picture.height, picture.width)
        nominal = self._nominal_fps
        self.times_s = self._index.times_s(nominal)
        num_frames = self._index.num_frames
        duration_s = float(self.times_s[-1]) + (self._last_s() or 1 / nominal)
        measured = num_frames / duration_s
        fps = nominal if abs(measured / nominal - 1) < 0.01 else measured
        self.info = VideoInfo(self._path, num_frames, fps, duration_s, height, width)

    def _last_s(self) -> float:
        """How long the last frame stays; what the file says of it must be plausible, or agree with its header."""
        told_s, shown_s = float(self._index.last_ticks * self._index.time_base), float(self.times_s[-1])
        usual_s = shown_s / max(len(self.times_s) - 1, 1)
        agrees = abs(shown_s + told_s - self.promised_s) <= max(usual_s, 0.01 * self.promised_s)
        return told_s if not usual_s or 0 < told_s < 100 * usual_s or agrees else usual_s

    def _first_picture(self) -> av.VideoFrame:
        """The first picture that can be decoded; it knows size and rotation, which containers get wrong."""
        if self._spare:
            return self._spare[0]
        self._restart(0)
        for number, packet in self._packets(0):
            pictures = self._send(packet)
            self._next = number + 1
            if self._index.counted is None:
                self._flying.add(number)
            if pictures:
                break
            if number > _PROBED_PACKETS:
                break
        else:
            pictures = self._send(None)
            self._fresh = False
        if not pictures:
            raise UnreadableVideo("the video cannot be decoded", self._path, "it is damaged: export it again")
        self._spare = dict(self._named(pictures))
        return pictures[0]

    # Reading ----------------------------------------------------------------------------------------------------------

    def _read(self, indices: NDArray[np.int64], rows: NDArray[np.int64], out: Frame) -> None:
        painter = Painter(out.shape[1], out.shape[2], self._turn)
        left = dict(zip(indices.tolist(), rows.tolist(), strict=True))
        for index, picture in self._decode(indices):
            painter.paint(picture, out[left.pop(index)])
        if left:  # look once more, from further back, leaving nothing out
            for index, picture in self._decode(np.array(sorted(left), np.int64), thorough=True):
                painter.paint(picture, out[left.pop(index)])
        if left:
            index = min(left)
            where = f"{self._path} frame {index} ({self.times_s[index]:.3f} s)"
            raise UnreadableVideo("the video is damaged", where, "export it again, or read around the damage")

    def _stream(self, indices: range, height: int, width: int) -> Iterator[tuple[int, Frame]]:
        painter = Painter(height, width, self._turn)
        position = 0
        while position < len(indices):
            pictures = self._decode(np.asarray(indices[position:], np.int64))
            turn = self._run_number + 1
            for index, picture in pictures:
                if index < indices[position]:
                    continue
                frame = np.empty((height, width, 3), np.uint8)
                painter.paint(picture, frame)
                position = indices.index(index) + 1
                yield index, frame
                if self._run_number != turn or position == len(indices):  # somebody else used the decoder meanwhile
                    break
            else:
                return

    def _near(self, indices: NDArray[np.int64], how: FastSeek, height: int, width: int) -> Iterator[tuple[int, Frame]]:
        painter, count = Painter(height, width, self._turn), 0
        expected, pictures = self._pictures_near(indices, how)
        for index, picture in pictures:
            frame = np.empty((height, width, 3), np.uint8)
            painter.paint(picture, frame)
            count += 1
            yield index, frame
        if expected is not None:
            self._tell_missing(expected - count, expected)

    def _pictures_near(
        self, indices: NDArray[np.int64], how: FastSeek
    ) -> tuple[int | None, Iterator[tuple[int, av.VideoFrame]]]:
        """How many there are to be, if that is known, and pictures."""
        keys = self._index.key_frames
        if how == "keyframes" and len(keys):
            chosen = np.unique(keys[np.maximum(np.searchsorted(keys, indices, side="right") - 1, 0)])
            return len(chosen), self._decode_keys(chosen)
        if how == "nonref" and self._skips:
            return None, stand_ins(indices, self._decode_referred(indices))
        if how != "none":
            _log.info("%s: every frame is decoded; this film does not say which ones are %s", self._path, _KINDS[how])
        return len(indices), self._decode(indices)

    def _decode_keys(self, keys: NDArray[np.int64]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Keyframes by themselves; those that are no clean start, as in films without whole keyframes, from further back."""
        for key in keys[:, None]:
            self._run_number += 1
            alone = list(self._decode_run(int(self._index.starts[key[0]]), key, drain=True, thorough=False))
            yield from alone or self._decode(key, thorough=True)

    def _decode_referred(self, indices: NDArray[np.int64]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Pictures in order, from the start of each run to its last frame or just past it, but those nobody refers to."""
        notes = Referred(self._index.num_frames, self._codec)
        for run in self._index.runs(indices):
            self._run_number += 1
            self._restart(run.start)
            last = int(run.wanted[-1])
            for number, packet in itertools.chain(self._packets(run.start), [(-1, None)]):
                self._codec.skip_frame = "NONREF"
                if packet is not None:
                    notes.feed(int(self._index.frame_of[number]), packet)
                pictures = list(self._named(self._send(packet)))
                notes.come([index for index, _ in pictures])
                self._next, self._fresh = number + 1, False  # the next run starts anew
                yield from pictures
                if pictures and pictures[-1][0] >= last:
                    break
            notes.end(last)
        expected, missing = notes.stand_ins(indices)
        found = sum(1 for _ in self._decode_runs(self._index.thorough_runs(missing), thorough=True))
        self._tell_missing(len(missing) - found, len(expected))

    def _decode(self, wanted: NDArray[np.int64], thorough: bool = False) -> Iterator[tuple[int, av.VideoFrame]]:
        """Pictures of sorted frames with their numbers; those that cannot be decoded are missing."""
        return self._decode_runs([self._index.thorough_run(wanted)] if thorough else self._index.runs(wanted), thorough)

    def _decode_runs(self, runs: list[Run], thorough: bool = False) -> Iterator[tuple[int, av.VideoFrame]]:
        self._run_number += 1
        for number, run in enumerate(runs):
            spare, first = self._spare, 0
            for index in itertools.takewhile(spare.__contains__, map(int, run.wanted)):  # in order, as all others come
                first += 1
                yield index, spare[index]
            if first < len(run.wanted):
                drain = number + 1 < len(runs) or not self._steady
                yield from self._decode_run(run.start, run.wanted[first:], drain=drain, thorough=thorough)

    def _decode_run(
        self, start: int, wanted_frames: NDArray[np.int64], *, drain: bool, thorough: bool
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        counted = self._index.counted is not None
        packets = self._index.decode_order[wanted_frames]
        pending, needed = Flags(wanted_frames), Flags(packets)
        last, skips = int(packets.max()), self._skips and not thorough
        self._place(start, packets, resume=not thorough)
        for number, packet in self._packets(self._next):
            wanted = not skips or number in needed or number > last
            self._codec.skip_frame = "DEFAULT" if wanted else "NONREF"
            if wanted and not counted:
                self._flying.add(number)
            pictures = self._send(packet)
            self._next = number + 1
            yield from self._hand_out(pictures, pending)
            if not pending:
                return
            if drain and number >= last and not counted:
                break
        pictures = self._send(None)
        self._fresh = False
        yield from self._hand_out(pictures, pending)

    def _hand_out(self, pictures: Sequence[av.VideoFrame], pending: Flags) -> Iterator[tuple[int, av.VideoFrame]]:
        named = list(self._named(pictures))
        if named:
            self._spare = {index: picture for index, picture in named if index not in pending}
        for index, picture in named:
            if index in pending:
                pending.remove(index)
                yield index, picture

    def _named(self, pictures: Sequence[av.VideoFrame]) -> Iterator[tuple[int, av.VideoFrame]]:
        for picture in pictures:
            if self._index.counted is not None:
                self._emitted += 1
                yield self._emitted - 1, picture
            elif (packet := self._index.packet_at(picture.pts)) is not None:
                self._flying.discard(packet)
                if (index := int(self._index.frame_of[packet])) >= 0:
                    yield index, picture

    # The decoder ------------------------------------------------------------------------------------------------------

    def _place(self, start: int, needed: NDArray[np.int64], *, resume: bool) -> None:
        """Bring the decoder to packet `start`; leave it be if all packets needed are in it or still to come."""
        reached = self._next if self._index.counted is None else self._emitted
        ahead = start <= reached and all(packet in self._flying for packet in needed[needed < reached].tolist())
        if ahead and not self._fresh:
            self._steady = True  # frames are asked for one call after the other: do not drain the decoder next time
        if not (resume and ahead and self._fresh):
            self._restart(start)

    def _restart(self, packet: int) -> None:
        self._codec.flush_buffers()
        self._fresh, self._next, self._emitted = True, packet, 0
        self._spare, self._flying = {}, set()
        if self._feed is not None:
            self._feed.stop()

    def _send(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Give a packet to the decoder; a damaged one gives no picture."""
        try:
            return self._codec.decode(packet)
        except (av.FFmpegError, EOFError):
            return []

    def close(self) -> None:
        """Let go of the file and the decoder's memory."""
        self._spare = {}
        if self._feed is not None:
            self._feed.close()
