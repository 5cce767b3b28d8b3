"""The packet index is small, knows packets by their timestamps, and numbers the displayed frames."""

from __future__ import annotations

import struct
import tracemalloc
from fractions import Fraction
from pathlib import Path

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


def number_by_decoding_order(packet, number):
    packet.pts = packet.dts = packet.duration * number


INVENTED = [
    ("libx264", {"bf": "3"}, ".avi"),
    ("libx264", {"bf": "3", "x264-params": "b-pyramid=none"}, ".wmv"),
    ("libx264", {"bf": "2"}, ".mp4"),
    ("libx264", {"bf": "3"}, ".mkv"),
    ("libx264", {"bf": "3"}, ".ts"),
    ("libx264", {"bf": "3"}, ".flv"),
    ("mpeg4", {"bf": "2", "q": "2", "b": "2000000"}, ".mp4"),
    ("mpeg4", {"bf": "2", "q": "2", "b": "2000000"}, ".mkv"),
    ("mpeg2video", {"bf": "2", "q": "2", "b": "2000000"}, ".mkv"),
    ("libx265", {"x265-params": "bframes=3:log-level=none"}, ".mp4"),
    ("libx265", {"x265-params": "bframes=3:log-level=none"}, ".mkv"),
]


@pytest.mark.parametrize(("codec", "options", "ending"), INVENTED)
def test_the_decoder_tells_the_order_where_timestamps_were_made_up(
    codec, options, ending, tmp_path, write_frames, copy_packets, draw_count, read_count, packets_kept
):
    options = {"g": "24", "sc_threshold": "0"} | options
    if ending in (".avi", ".wmv"):  # the demuxer makes timestamps up
        path = write_frames(tmp_path / f"a{ending}", map(draw_count, range(60)), codec=codec, options=options)
    else:
        source = write_frames(tmp_path / "a.mp4", map(draw_count, range(60)), codec=codec, options=options)
        path = copy_packets(source, tmp_path / f"copy{ending}", number_by_decoding_order)
    with open_video(path) as video:
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(60))
        assert [read_count(frame) for frame in video.frames_at(range(60))] == list(range(60))
        for index in (59, 3, 30, 31, 26, 0):
            assert read_count(video.frames_at([index])[0]) == index
        np.testing.assert_allclose(video.times_s, np.arange(60) / 25, atol=2e-3)
        assert video.info.duration_s == pytest.approx(2.4, abs=0.01)
        assert video.num_damaged == 0


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video"])
def test_a_video_that_keeps_the_order_is_not_decoded_to_be_opened(codec, tmp_path, write_frames, draw_count):
    options = {"bf": "2" if codec == "libx264" else "0", "g": "24"}
    path = write_frames(tmp_path / "a.mkv", map(draw_count, range(60)), codec=codec, options=options)
    with open_video(path) as video:
        index = video._decoder.index
        assert (index.num_counted, index.order, index.needs_decoding) == (None, None, False)
        assert len(video._decoder._ready) < 5


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts", ".h264"])
def test_a_packet_may_be_a_field(ending, tmp_path, write_fields, copy_packets, draw_count, read_count, packets_kept):
    path = write_fields(tmp_path / "fields.h264", [draw_count(index) for index in range(30)])
    if ending != ".h264":

        def number_fields(packet, number):
            packet.time_base = Fraction(1, 50)
            packet.pts, packet.dts, packet.duration = number, number, 1

        path = copy_packets(path, tmp_path / f"a{ending}", number_fields)
    with open_video(path) as video:
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(30))
        for index in (29, 3, 4, 17, 0):
            assert read_count(video.frames_at([index])[0]) == index
        assert video.num_damaged == 0
        if ending != ".h264":
            np.testing.assert_allclose(video.times_s, np.arange(30) / 25, atol=2e-3)
            assert video.info.duration_s == pytest.approx(1.2, abs=0.01)


@pytest.mark.parametrize("ending", [".webm", ".mkv"])
def test_frames_of_vp8_that_are_never_displayed_are_not_counted(
    ending, tmp_path, write_frames, copy_packets, draw_count, read_count, packets_kept
):
    how = {"codec": "libvpx", "options": {"b": "2000000", "g": "40"}}
    source = write_frames(tmp_path / "source.mkv", map(draw_count, range(90)), **how)
    hidden = [1, 10, 50, 88]

    def hide(packet, number):  # clear the bit show_frame (RFC 6386, 9.1)
        if number in hidden:
            packet.update(bytes([bytes(packet)[0] & ~16]) + bytes(packet)[1:])
            packet.pts = packet.dts = packet.pts + 39  # as encoders do: just before the next one
        if number == 51:
            packet.pts = packet.dts = packet.pts - 1  # or at the same time

    path = copy_packets(source, tmp_path / f"a{ending}", hide)
    expected = [index for index in range(90) if index not in hidden]
    with open_video(path) as video:
        assert [read_count(frame) for _, _, frame in video.iterate()] == expected
        for index in (85, 3, 44, 0):
            assert read_count(video.frames_at([index])[0]) == expected[index]
        assert video.num_damaged == 0
        np.testing.assert_allclose(video.times_s, np.array(expected) / 25, atol=2e-3)


def test_one_repeated_timestamp_changes_one_time(
    tmp_path, vfr_video, vfr_times_s, copy_packets, read_count, packets_kept
):
    def repeat(packet, number):
        if number == repeated:
            packet.pts = int(stated[rank - 1])
            packet.dts = min(packet.dts, packet.pts)

    with av.open(str(vfr_video)) as container:
        stated = np.array([packet.pts for packet in container.demux(video=0) if packet.size])
    rank = 20
    repeated = int(np.argsort(stated)[rank])
    stated = np.sort(stated)
    path = copy_packets(vfr_video, tmp_path / "repeated.mkv", repeat)
    with open_video(path) as video:
        assert [read_count(frame) for _, _, frame in video.iterate()] == list(range(40))
        others = np.arange(40) != rank
        np.testing.assert_allclose(video.times_s[others], vfr_times_s[others], atol=2e-3)
        assert video.times_s[rank - 1] < video.times_s[rank] < video.times_s[rank + 1]


def edited(path: Path, edits: list[tuple[int, int]]) -> Path:
    """Replace the only edit of an MP4 file by several: start in the file and number of frames, at 25 frames/s."""
    data = path.read_bytes()
    with av.open(str(path)) as file:
        unit = int(1 / 25 / file.streams.video[0].time_base)
    at = data.index(b"elst")
    version = data[at + 4]
    assert version == 0
    offset = struct.unpack_from(">i", data, at + 16)[0]  # where the only edit starts in the track's own time
    rows = [struct.pack(">IiI", 40 * count, offset + start * unit, 1 << 16) for start, count in edits]
    box = struct.pack(">I4sII", 16 + 12 * len(rows), b"elst", 0, len(rows)) + b"".join(rows)
    size = int.from_bytes(data[at - 4 : at])
    grown = len(box) - size
    data = data[: at - 4] + box + data[at - 4 + size :]
    for name in (b"moov", b"trak", b"edts"):
        place = data.index(name) - 4
        data = data[:place] + (int.from_bytes(data[place : place + 4]) + grown).to_bytes(4) + data[place + 4 :]
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "edits", [[(0, 20), (60, 20)], [(10, 20), (70, 10), (90, 20)], [(60, 20), (0, 20)], [(40, 15), (40, 15), (3, 10)]]
)
def test_cuts_by_edits_show_the_frames_between_them(
    edits, tmp_path, write_frames, draw_count, read_count, packets_kept
):
    path = write_frames(tmp_path / "a.mp4", map(draw_count, range(120)), options={"bf": "2", "g": "24"})
    edited(path, edits)
    with av.open(str(path)) as container:
        stated = [float(frame.time) for frame in container.decode(video=0)]
    expected = [start + index for start, count in edits for index in range(count)]
    with open_video(path) as video:
        seen = [read_count(frame) for _, _, frame in video.iterate()]
        assert len(set(expected) ^ set(seen)) <= len(edits)  # FFmpeg may lose a frame at an edit
        assert [read_count(frame) for frame in video.frames_at(range(len(video)))] == seen
        np.testing.assert_allclose(video.times_s, np.array(stated) - stated[0], atol=0.041)
        assert (np.diff(video.times_s) > 0).all()
        assert video.info.duration_s == pytest.approx(len(expected) / 25, abs=0.09)
        assert video.num_damaged == 0
