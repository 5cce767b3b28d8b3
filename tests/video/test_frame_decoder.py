"""Frames are exact, in display order, however they are reached."""

from __future__ import annotations

import contextlib
import re
import struct

import av
import numpy as np
import pytest

from kinema.errors import UnreadableVideo
from kinema.video import frame_decoder, numbering, open_video
from kinema.video.frame_decoder import FrameDecoder


def as_decoded(_: int, frame: av.VideoFrame) -> av.VideoFrame:
    return frame


def test_threads_requested_are_taken(counting_video):
    with open_video(counting_video, threads=3) as video:
        assert video._decoder._codec.thread_count == 3


SOUND = [
    ("counting_video", 120),
    ("long_gop_video", 150),
    ("short_video", 5),
    ("one_frame_video", 1),
    ("vfr_video", 40),
    ("ten_bit_video", 30),
    ("odd_video", 20),
    ("mkv_video", 50),
    ("avi_video", 60),
    ("raw_video", 60),
    ("negative_video", 50),
    ("wide_pixel_video", 20),
    ("gif_video", 12),
    ("image_folder", 12),
]


@pytest.mark.parametrize(("name", "num_frames"), SOUND)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_frame_shows_its_own_number(name, num_frames, threads, request, read_count, packets_kept):
    with open_video(request.getfixturevalue(name), threads=threads) as video:
        assert video.info.num_frames == len(video.times_s) == len(video) == num_frames
        assert [read_count(frame) for frame in video.frames_at(range(num_frames))] == list(range(num_frames))
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(num_frames))


@pytest.mark.parametrize("name", [name for name, _ in SOUND])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_frame_is_the_same_bytes_however_it_is_reached(name, threads, request, packets_kept):
    path = request.getfixturevalue(name)
    with open_video(path, threads=1) as video:
        expected = np.stack([frame for _, _, frame in video.iterate()])
    rng = np.random.default_rng(0)
    with open_video(path, threads=threads) as video:
        for count in (1, 2, 7, 1, 30):
            indices = rng.integers(0, len(expected), count)
            np.testing.assert_array_equal(video.frames_at(indices), expected[indices])
        for stride in (2, 3, 5):
            indices = np.arange(len(expected) // 3, len(expected), stride)
            np.testing.assert_array_equal(video.frames_at(indices), expected[indices])
        one_by_one = [video.frames_at([index])[0] for index in range(len(expected))]
        np.testing.assert_array_equal(np.stack(one_by_one), expected)


def test_frames_agree_with_a_plain_decoding_loop(counting_video):
    with av.open(str(counting_video)) as container:
        expected = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with open_video(counting_video) as video:
        np.testing.assert_array_equal(video.frames_at(range(120)), expected)


X264 = [
    "b-pyramid=strict",
    "b-pyramid=none:bframes=5",
    "open-gop=1:keyint=20",
    "ref=1:bframes=0",
    "intra-refresh=1:keyint=20",
    "keyint=20:direct=temporal:weightp=2",
]


@pytest.mark.parametrize("options", X264)
def test_leaving_out_frames_nobody_refers_to_changes_no_pixel(options, tmp_path, write_frames, draw_count, monkeypatch):
    x264 = {"crf": "20", "x264-params": options}
    path = write_frames(tmp_path / "video.mkv", (draw_count(index) for index in range(90)), options=x264)
    indices = [1, 2, 9, 10, 33, 34, 35, 62, 88]
    with open_video(path) as video:
        skipping = video.frames_at(indices, 32)
    monkeypatch.setattr(frame_decoder, "_SKIPPING_CODECS", frozenset())
    with open_video(path) as video:
        np.testing.assert_array_equal(video.frames_at(range(90), 32)[indices], skipping)


def test_skipping_decodes_fewer_frames(long_gop_video, monkeypatch):
    with open_video(long_gop_video) as video:
        decoded = []
        send = FrameDecoder._send
        monkeypatch.setattr(
            FrameDecoder, "_send", lambda self, packet: decoded.extend(out := send(self, packet)) or out
        )
        video.frames_at([140])
    assert len(decoded) < 110


@pytest.mark.parametrize("threads", [1, 3])
def test_counted_videos_too_large_to_keep_are_decoded_again(raw_video, read_count, monkeypatch, threads, packets_kept):
    monkeypatch.setattr(numbering, "_KEPT_BYTES", 0)
    with open_video(raw_video, threads=threads) as video:
        for indices in ([40, 3], [41, 42], [59], [0], [1], [0, 58]):
            assert [read_count(frame) for frame in video.frames_at(indices)] == indices
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(60))


@pytest.mark.real_data
def test_real_videos_give_the_frames_of_a_plain_loop(real_data):
    for path in [
        *real_data.glob("films/**/*.mp4"),
        *real_data.glob("films/**/*.avi"),
        *real_data.glob("films/**/*.mkv"),
    ]:
        with av.open(str(path)) as container:
            expected = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        with open_video(path) as video:
            assert len(video) == len(expected), path
            some = np.random.default_rng(0).integers(0, len(expected), 24)
            np.testing.assert_array_equal(video.frames_at(some), expected[some], err_msg=str(path))


def test_requests_that_follow_each_other_do_not_start_anew(tmp_path, write_frames, draw_count, read_count, monkeypatch):
    options = {"bf": "0", "g": "150", "sc_threshold": "0"}
    path = write_frames(tmp_path / "video.mp4", map(draw_count, range(150)), options=options)
    sent = []
    send = FrameDecoder._send
    monkeypatch.setattr(FrameDecoder, "_send", lambda self, packet: sent.append(packet) or send(self, packet))
    decoder = FrameDecoder(str(path), threads=1)
    num_sent = []
    for start in range(0, 150, 30):
        sent.clear()
        frames = list(decoder.decode(np.arange(start, start + 30), as_decoded))
        assert [index for index, _ in frames] == list(range(start, start + 30))
        assert [read_count(frame.to_ndarray(format="rgb24")) for _, frame in frames] == list(range(start, start + 30))
        num_sent.append(len(sent))
    decoder.close()
    assert sum(num_sent) < 170  # each packet about once, and not again from the only keyframe


def test_a_request_is_counted_when_its_first_frame_is_taken(counting_video):
    decoder = FrameDecoder(str(counting_video))
    frames = decoder.decode(np.array([3, 4]), as_decoded)
    assert decoder.request == 0
    next(frames)
    assert decoder.request == 1
    decoder.close()


def test_the_first_frame_is_that_of_a_later_request_too(counting_video, read_count):
    decoder = FrameDecoder(str(counting_video))
    first = decoder.first_frame()
    assert (first.width, first.height, read_count(first.to_ndarray(format="rgb24"))) == (96, 64, 0)
    assert [index for index, _ in decoder.decode(np.array([0, 1]), as_decoded)] == [0, 1]
    decoder.close()


def two_sample_descriptions(path, first, second):
    """Join two MP4 files of one size in one track, each with its own header: joined recordings are like this."""
    headers, parts, keys = [], [], []
    for name in (first, second):
        with av.open(str(name)) as file:
            (track,) = file.streams.video
            found = [packet for packet in file.demux(track) if packet.size]
            headers.append(track.codec_context.extradata)
            parts.append([bytes(packet) for packet in found])
            keys += [packet.is_keyframe for packet in found]

    def box(name, *content):
        data = b"".join(struct.pack(">I", part) if isinstance(part, int) else part for part in content)
        return struct.pack(">I4s", 8 + len(data), name) + data

    def entry(header):
        size = struct.pack(">HH", 96, 64)
        fixed = (0, 1, bytes(16), size, 0x480000, 0x480000, 0, b"\0\1", bytes(32), b"\0\x18\xff\xff")
        return box(b"avc1", *fixed, box(b"avcC", header))

    count = len(keys)
    data = [b"".join(part) for part in parts]
    head = box(b"ftyp", b"isom", 512, b"isomavc1")
    offset = len(head) + 8
    tables = (
        box(b"stsd", 0, 2, *map(entry, headers)),
        box(b"stts", 0, 1, count, 512),
        box(b"stss", 0, sum(keys), *(number + 1 for number, key in enumerate(keys) if key)),
        box(b"stsc", 0, 2, 1, len(parts[0]), 1, 2, len(parts[1]), 2),
        box(b"stsz", 0, 0, count, *(len(sample) for part in parts for sample in part)),
        box(b"stco", 0, 2, offset, offset + len(data[0])),
    )
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    media = box(
        b"minf",
        box(b"vmhd", 1, bytes(8)),
        box(b"dinf", box(b"dref", 0, 1, box(b"url ", 1))),
        box(b"stbl", *tables),
    )
    track = box(
        b"trak",
        box(b"tkhd", 3, 0, 0, 1, 0, 40 * count, bytes(16), matrix, 96 << 16, 64 << 16),
        box(
            b"mdia",
            box(b"mdhd", 0, 0, 0, 12800, 512 * count, 0x55C40000),
            box(b"hdlr", 0, 0, b"vide", bytes(12), b"\0"),
            media,
        ),
    )
    movie = box(b"mvhd", 0, 0, 0, 1000, 40 * count, 0x10000, 0x1000000, bytes(8), matrix, bytes(24), 2)
    path.write_bytes(head + box(b"mdat", *data) + box(b"moov", movie, track))
    return path


@pytest.mark.parametrize("threads", [1, 3])
def test_a_header_in_the_middle_holds_for_what_follows_it(
    threads, tmp_path, write_frames, draw_count, read_count, packets_kept
):
    options = {"bf": "0", "g": "10", "sc_threshold": "0"}
    first = write_frames(tmp_path / "1.mp4", map(draw_count, range(50)), options=options)
    other = {"profile": "baseline", "x264-params": "cabac=0:ref=3"}
    second = write_frames(tmp_path / "2.mp4", map(draw_count, range(50, 100)), options=options | other)
    path = two_sample_descriptions(tmp_path / "joined.mp4", first, second)
    with open_video(path, threads=threads) as video:
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(100))
        for index in (99, 3, 70, 49, 50, 0, 61):
            assert read_count(video.frames_at([index])[0]) == index
        assert [read_count(frame) for frame in video.frames_at([80, 2, 55, 30])] == [80, 2, 55, 30]
        found = dict(video.frames_near(np.array([5, 77]), "keyframes"))
        assert {index: read_count(frame) for index, frame in found.items()} == {0: 0, 70: 70}
        assert video.num_damaged == 0


def damaged_copy(path, copy, noise, count):
    """Overwrite `count` stretches of coded frames with noise, not the headers."""
    with av.open(str(path)) as file:
        packets = [
            (packet.pos, packet.size) for packet in file.demux(video=0) if packet.pos is not None and packet.size > 40
        ]
    data = bytearray(path.read_bytes())
    for place, size in (packets[index] for index in noise.integers(1, len(packets), count)):
        at = place + 24 + int(noise.integers(0, size - 32))
        data[at : at + 8] = noise.integers(0, 256, 8, np.uint8).tobytes()
    copy.write_bytes(data)
    return copy


DAMAGED = [
    ("libx264", {"bf": "3", "g": "12"}, ".mkv"),
    ("libx264", {"bf": "2", "g": "24"}, ".mp4"),
    ("libx264", {"x264-params": "open-gop=1:keyint=12:bframes=3"}, ".ts"),
    ("mpeg4", {"bf": "2", "g": "12", "q": "4"}, ".mp4"),
    ("mpeg2video", {"bf": "2", "g": "12", "q": "4"}, ".mkv"),
    ("ffv1", {"g": "12", "level": "3", "slicecrc": "1"}, ".mkv"),
    ("mjpeg", {"q": "4"}, ".mkv"),
    ("prores_ks", {}, ".mov"),
    ("libvpx", {"g": "12"}, ".webm"),
]
PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}


# Not TS, where damage also hits parameter sets, nor MJPEG and VP8: FFmpeg conceals their damage without any sign.
@pytest.mark.parametrize(
    ("codec", "options", "ending"), [row for row in DAMAGED if row[0] not in ("mjpeg", "libvpx") and row[2] != ".ts"]
)
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_video_has_the_same_frames_however_they_are_reached(
    codec, options, ending, seed, tmp_path, write_frames, draw_count
):
    how = {"codec": codec, "options": {"sc_threshold": "0"} | options, "pix_fmt": PIXELS.get(codec, "yuv420p")}
    path = write_frames(tmp_path / f"whole{ending}", map(draw_count, range(48)), **how)
    noise = np.random.default_rng(seed)
    damaged_copy(path, tmp_path / f"a{ending}", noise, 3)
    path = tmp_path / f"a{ending}"
    with open_video(path) as video:
        expected = {index: frame for index, _, frame in video.iterate()}
        num_frames = len(video)
        assert len(expected) + len(video._lost) == num_frames
    with open_video(path) as video:
        for index in noise.permutation(num_frames).tolist():
            if index in expected:
                np.testing.assert_array_equal(video.frames_at([index])[0], expected[index], err_msg=str(index))
            else:
                with pytest.raises(UnreadableVideo):
                    video.frames_at([index])
    with open_video(path) as video:
        for index, _, frame in video.iterate(start_s=0.8, stride=3):
            np.testing.assert_array_equal(frame, expected[index], err_msg=str(index))


@pytest.mark.parametrize(("codec", "options", "ending"), DAMAGED[:5])
def test_damage_that_ffmpeg_marks_is_told_and_whole_videos_have_none(
    codec, options, ending, tmp_path, write_frames, draw_count
):
    how = {"codec": codec, "options": {"sc_threshold": "0"} | options}
    whole = write_frames(tmp_path / f"whole{ending}", map(draw_count, range(48)), **how)
    with open_video(whole) as video:
        assert len(list(video.iterate())) == 48
        assert (video.num_damaged, video.damage) == (0, "")
    num_marked = 0
    for seed in range(6):
        path = damaged_copy(whole, tmp_path / f"{seed}{ending}", np.random.default_rng(seed), 2)
        with av.open(str(path)) as file:
            marked = 0
            for packet in file.demux(video=0):
                with contextlib.suppress(av.FFmpegError):
                    marked += sum(frame.is_corrupt for frame in packet.decode())
        with open_video(path) as video:
            for _ in video.iterate():
                pass
            assert (video.num_damaged > 0) or not marked
            assert bool(video.damage) == (video.num_damaged > 0)
        num_marked += marked > 0
    assert num_marked > 1


def test_what_the_decoder_refuses_of_a_counted_video_is_told(raw_video, tmp_path):
    data = bytearray(raw_video.read_bytes())
    starts = [found.start() for found in re.finditer(b"\0\0\1[\x41\x01\x61]", data)]
    assert len(starts) > 20
    for start in starts[10:13]:
        data[start + 4 : start + 12] = b"\xff" * 8
    path = tmp_path / "a.h264"
    path.write_bytes(data)
    with open_video(path) as video:
        assert video.num_damaged > 0
        assert video.damage
    with open_video(raw_video) as video:
        assert video.num_damaged == 0
