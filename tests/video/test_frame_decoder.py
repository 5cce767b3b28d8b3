"""Frames are exact, in display order, however they are reached."""

from __future__ import annotations

import av
import numpy as np
import pytest

from kinema.video import frame_decoder, open_video
from kinema.video.frame_decoder import FrameDecoder


@pytest.mark.parametrize(
    ("pixels", "work", "cores", "expected"),
    [
        (6000, 700_000, 4, 8),
        (6000, 700_000, 2, 4),
        (6000, 700_000, 16, 8),
        (6000, 700_000, 1, 1),
        (7000, 700_000, 4, 1),
        (6000, 800_000, 4, 1),
    ],
)
def test_threads_by_the_size_of_frames_and_video(counting_video, monkeypatch, pixels, work, cores, expected):
    monkeypatch.setattr(frame_decoder, "_THREADED_PIXELS", pixels)
    monkeypatch.setattr(frame_decoder, "_THREADED_WORK", work)
    monkeypatch.setattr(frame_decoder, "num_cores", lambda: cores)
    with open_video(counting_video) as video:  # 120 frames of 96 x 64 = 6144 pixels
        assert video._decoder._codec.thread_count == expected


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
    monkeypatch.setattr(frame_decoder, "_KEPT_BYTES", 0)
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
        frames = list(decoder.decode(np.arange(start, start + 30)))
        assert [index for index, _ in frames] == list(range(start, start + 30))
        assert [read_count(frame.to_ndarray(format="rgb24")) for _, frame in frames] == list(range(start, start + 30))
        num_sent.append(len(sent))
    decoder.close()
    assert sum(num_sent) < 170  # each packet about once, and not again from the only keyframe


def test_a_request_is_counted_when_its_first_frame_is_taken(counting_video):
    decoder = FrameDecoder(str(counting_video))
    frames = decoder.decode(np.array([3, 4]))
    assert decoder.request == 0
    next(frames)
    assert decoder.request == 1
    decoder.close()


def test_the_first_frame_is_that_of_a_later_request_too(counting_video, read_count):
    decoder = FrameDecoder(str(counting_video))
    first = decoder.first_frame()
    assert (first.width, first.height, read_count(first.to_ndarray(format="rgb24"))) == (96, 64, 0)
    assert [index for index, _ in decoder.decode(np.array([0, 1]))] == [0, 1]
    decoder.close()
