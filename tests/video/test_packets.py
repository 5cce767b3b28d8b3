"""The packet index is small, knows packets by their timestamps, and numbers the displayed frames."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest

from kinema.video import cut_off, open_video, packets
from kinema.video.packets import IndexSet, PacketIndex


def test_the_index_of_two_hours_takes_a_few_megabytes():
    tracemalloc.start()
    order = np.arange(180_000).reshape(-1, 3)[:, [2, 0, 1]].reshape(-1)
    index = PacketIndex(512 * order, order % 250 == 2, np.ones(len(order), bool), Fraction(1, 12800))
    assert index.packet_at(512 * 90_000) is not None
    index.runs(np.array([5, 100_000]))
    assert (len(index.frame_of), len(index.times_s(25))) == (180_000, 180_000)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 14e6


def test_packets_are_found_by_their_timestamps(counting_video):
    with open_video(counting_video) as video:
        index = video._decoder.index
    assert [index.packet_at(int(pts)) for pts in index.pts] == list(range(120))
    assert index.frame_of[index.decode_order].tolist() == list(range(120))
    assert [index.packet_at(pts) for pts in (None, -1, int(index.pts[0]) + 1, 1 << 60)] == [None] * 4


def test_hidden_packets_hold_no_frame(edit_list_video):
    with open_video(edit_list_video) as video:
        index = video._decoder.index
    assert (index.frame_of < 0).sum() == 5
    assert not index.shown[index.frame_of < 0].any()


@pytest.mark.parametrize("room", [1_000, 1_000_000])
def test_packets_are_kept_only_if_they_are_few(counting_video, room, monkeypatch):
    monkeypatch.setattr(packets, "KEEP_BYTES", room)
    with open_video(counting_video) as video:
        assert (video._decoder.index.packets is not None) == (room == 1_000_000)


def test_an_index_set_is_a_set():
    members = IndexSet(np.array([3, 0, 7]))
    assert [number in members for number in range(9)] == [number in {0, 3, 7} for number in range(9)]
    members.remove(3)
    members.remove(3)
    assert (3 in members, len(members)) == (False, 2)
    assert not IndexSet(np.zeros(0, np.int64))


def test_a_jump_is_made_only_over_a_keyframe(counting_video):
    with open_video(counting_video) as video:
        index = video._decoder.index
    assert [(run.start, run.wanted.tolist()) for run in index.runs(np.array([3, 40, 47]))] == [(0, [3, 40, 47])]
    starts = [run.start for run in index.runs(np.array([3, 50, 60, 100]))]
    assert len(starts) == 3
    assert starts[0] == 0
    assert all(index.key[start] for start in starts)


def test_no_jump_is_made_between_neighbours(counting_video):
    with open_video(counting_video) as video:
        assert len(video._decoder.index.runs(np.arange(120))) == 1


def test_times_of_a_gif_are_its_frames_durations(gif_video, gif_times_s):
    with open_video(gif_video) as video:
        np.testing.assert_allclose(video.times_s, gif_times_s, atol=1e-6)
        assert video.info.duration_s == pytest.approx(1.8)


def test_times_start_at_zero_whatever_the_file_says(negative_video):
    with av.open(str(negative_video)) as container:
        stated = np.array([float(frame.pts * frame.time_base) for frame in container.decode(video=0)])
    assert stated[0] < 0
    with open_video(negative_video) as video:
        np.testing.assert_allclose(video.times_s, stated - stated[0], atol=1e-6)


def test_without_timestamps_frames_are_counted(raw_video):
    with open_video(raw_video) as video:
        np.testing.assert_allclose(video.times_s, np.arange(60) / 25)
        assert video.info.duration_s == pytest.approx(2.4)


def test_an_edit_list_hides_frames(edit_list_video, read_count, packets_kept):
    with open_video(edit_list_video) as video:
        assert len(video) == 70
        assert video.times_s[0] == 0
        assert [read_count(frame) for frame in video.frames_at([0, 1, 40, 69])] == [5, 6, 45, 74]


def test_frames_before_the_first_keyframe_are_no_frames(counting_video, tmp_path, read_count):
    path = tmp_path / "recorded.ts"
    with av.open(str(counting_video)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number >= 30 and packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    with open_video(path) as video:
        assert [read_count(frame) for frame in video.frames_at(range(len(video)))] == list(range(48, 120))


@pytest.mark.parametrize("starts_s", [(100, 0), (0, 100), (0, 0), (0, 1.02)])
def test_recordings_that_were_joined_go_on_where_the_first_ends(
    tmp_path, draw_count, write_frames, read_count, starts_s, packets_kept
):
    """Behind the joint, timestamps fall back, leap ahead, or lie between those from before it."""
    path = tmp_path / "joined.ts"
    parts = []
    for number, start_s in enumerate(starts_s):
        frames = (draw_count(50 * number + index) for index in range(50))
        times_ms = [round(1000 * start_s) + 40 * index for index in range(50)]
        parts.append(write_frames(tmp_path / f"{number}.ts", frames, times_ms=times_ms).read_bytes())
    path.write_bytes(b"".join(parts))
    with open_video(path) as video:
        assert [read_count(frame) for frame in video.frames_at(range(len(video)))] == list(range(100))
        np.testing.assert_allclose(video.times_s, np.arange(100) / 25, atol=1e-3)
        assert video.info.duration_s == pytest.approx(4, abs=1e-3)
        assert cut_off(video.info, video.promised_s) == ""
