"""Streams keep the newest frames, count what they drop, and end."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from kinema.errors import UnreadableVideo
from kinema.video import open_stream


def test_every_frame_of_a_file_comes_when_there_is_time(counting_video, read_count):
    with open_stream(str(counting_video), realtime=False) as stream:
        seen = [(time_s, read_count(frame)) for time_s, frame in stream]
    assert seen == [(pytest.approx(index / 25), index) for index in range(120)]
    assert (stream.num_read, stream.num_dropped, stream.fps) == (120, 0, 25)


def test_a_file_is_played_at_its_own_pace(short_video):
    start = time.monotonic()
    with open_stream(str(short_video)) as stream:
        assert len(list(stream)) == 5
    assert time.monotonic() - start >= 0.15


def test_a_slow_taker_gets_the_newest_frames(counting_video, read_count):
    with open_stream(str(counting_video), keep=4, size=32) as stream:
        first = next(stream)
        time.sleep(1.0)
        late = [next(stream) for _ in range(4)]
        dropped = stream.num_dropped
    assert first[1].shape == (32, 48, 3)
    assert dropped >= 10
    assert read_count(late[0][1]) >= dropped
    assert late[0][0] == pytest.approx(read_count(late[0][1]) / 25)


def test_a_frame_has_arrived_before_it_is_taken(counting_video):
    with open_stream(str(counting_video), realtime=False, size=32) as stream:
        started = time.monotonic()
        next(stream)
        first = stream.arrived_s
        time.sleep(0.3)  # the next ones have been waiting for a while
        next(stream)
        assert started - 1 < first <= stream.arrived_s < time.monotonic() - 0.2


def test_few_frames_wait(counting_video):
    with open_stream(str(counting_video), realtime=False, keep=3) as stream:
        next(stream)
        time.sleep(0.3)
        assert stream.num_read <= 6


def test_closing_ends_thread_and_file(counting_video, open_files):
    before, threads = open_files(), threading.active_count()
    with open_stream(str(counting_video)) as stream:
        next(stream)
        stream.close()
        assert list(stream) == []
    assert (open_files(), threading.active_count()) == (before, threads)


def test_rotated_streams_are_upright(rotated_videos, read_count):
    with open_stream(str(rotated_videos[90]), realtime=False, size=(32, 40)) as stream:
        frames = [frame for _, frame in stream]
    assert frames[0].shape == (32, 40, 3)
    assert [read_count(frame) for frame in frames] == list(range(20))


def test_a_stream_without_timestamps_counts_time(raw_video):
    with open_stream(str(raw_video), realtime=False) as stream:
        times_s = [time_s for time_s, _ in stream]
    assert times_s == [pytest.approx(index / 25) for index in range(60)]


def test_damaged_frames_do_not_end_a_stream(damaged_video, read_count):
    with open_stream(str(damaged_video), realtime=False) as stream:
        seen = [read_count(frame) for _, frame in stream]
    assert seen[-1] == 119
    assert len(seen) >= 70


def test_a_pipe_is_read(mkv_video):
    code = "from kinema.video import open_stream; print(sum(1 for _ in open_stream('-', realtime=False)))"
    with mkv_video.open("rb") as source:
        finished = subprocess.run(
            [sys.executable, "-c", code], stdin=source, capture_output=True, check=True, timeout=60
        )
    assert finished.stdout.strip() == b"50"
    assert finished.stderr == b""


@contextlib.contextmanager
def watching_a_pipe(code: str):
    """A process that imports `open_stream`, runs `code` and reads from a pipe."""
    started = "from kinema.video import open_stream; print('ready', flush=True); "
    command = [sys.executable, "-c", started + code]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


@pytest.mark.parametrize("share", [0, 0.05, 1])
def test_an_interrupt_ends_a_process_that_waits_for_a_pipe(mkv_video, share):
    data = mkv_video.read_bytes()
    code = "stream = open_stream('-', realtime=False)\nwith stream:\n for frame in stream: pass"
    with watching_a_pipe(code) as process:
        process.stdin.write(data[: int(share * len(data))])
        process.stdin.flush()
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT
        assert process.stderr.read().splitlines()[-1] == b"KeyboardInterrupt"


WRONG = [
    ("87", "no such camera"),
    ("/dev/video87", "no such camera"),
    ("gone.mp4", "no such file or folder"),
    ("rtsp://127.0.0.1:9/x", "address"),
]


@pytest.mark.parametrize(("source", "words"), WRONG)
def test_what_cannot_be_opened_is_one_clear_line(source, words, capfd):
    with pytest.raises(UnreadableVideo, match=words):
        open_stream(source)
    assert capfd.readouterr() == ("", "")


def test_a_camera_faster_than_its_nominal_rate_is_not_waited_for(camera):
    """Motion JPEG without timestamps at 60 frames a second; its demuxer counts 25."""
    with camera(120, fps=60) as (address, _), open_stream(address) as stream:
        seen = []
        with contextlib.suppress(UnreadableVideo):  # libavformat calls the end of this format an error
            for time_s, frame in stream:
                seen.append((stream.clock_s, time_s, int(frame.mean()), time.monotonic() - stream.arrived_s))
    assert len(seen) + stream.num_dropped == stream.num_received == 120
    assert stream.is_live
    assert seen[-1][2] == pytest.approx(119, abs=3)
    assert 1.2 < seen[-1][0] < 3.0  # 2 s of arrival less what was buffered while the source was opened; counted, 4.8 s
    assert seen[-1][0] == pytest.approx(seen[-1][1], abs=0.05)
    assert seen[-1][3] < 0.5


def test_a_camera_that_drops_goes_on_with_its_times(camera):
    with camera(50, 50) as (address, _), open_stream(address, reconnect=1) as stream:
        times_s = []
        with pytest.raises(UnreadableVideo, match="did not come back"):
            times_s.extend(time_s for time_s, _ in stream)
    assert len(times_s) == 100
    assert times_s == sorted(times_s)
    assert times_s[50] - times_s[49] > 0.4  # the wait before the attempt
    assert stream.num_reconnections == 1


def test_a_pipe_is_not_paced(mkv_video):
    code = "import time; began = time.monotonic(); n = sum(1 for _ in open_stream('-')); print(n, time.monotonic() - began)"
    with watching_a_pipe(code) as process:
        out, _ = process.communicate(mkv_video.read_bytes(), timeout=60)
    number, passed_s = out.split()
    assert int(number) > 0
    assert float(passed_s) < 1.5  # the video lasts 2 s
