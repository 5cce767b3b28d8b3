"""Packets come with their numbers, also after a seek."""

from __future__ import annotations

import itertools

import pytest

from kinema.video import open_video, packets
from kinema.video.packet_reader import PacketReader


@pytest.mark.parametrize("start", [0, 1, 50, 97, 119])
def test_packets_start_at_the_requested_number(counting_video, packets_kept, start):
    reader = PacketReader(str(counting_video))
    found = [(number, packet.pts) for number, packet in reader.packets(start)]
    reader.close()
    assert found == list(enumerate(reader.index.pts))[start:]


def test_packets_from_a_file_continue_until_stop(counting_video, monkeypatch):
    monkeypatch.setattr(packets, "KEEP_BYTES", 0)
    reader = PacketReader(str(counting_video))
    assert [number for number, _ in itertools.islice(reader.packets(10), 3)] == [10, 11, 12]
    assert next(reader.packets(0))[0] == 13
    reader.stop()
    assert next(reader.packets(60))[0] == 60
    reader.close()


def test_the_header_is_read(counting_video, wide_pixel_video, raw_video):
    reader = PacketReader(str(counting_video))
    reader.close()
    assert (reader.nominal_fps, reader.pixel_aspect) == (25.0, 1.0)
    assert reader.promised_end_s == pytest.approx(4.8, abs=0.1)
    reader = PacketReader(str(wide_pixel_video))
    reader.close()
    assert reader.pixel_aspect == pytest.approx(4 / 3)
    reader = PacketReader(str(raw_video))
    reader.close()
    assert reader.promised_end_s == 0.0


def test_jumps_in_a_program_stream_lead_to_the_right_frames(
    draw_count, write_frames, read_count, tmp_path, monkeypatch
):
    """After a seek, FFmpeg cuts such a file into other packets."""
    how = {"codec": "mpeg2video", "container": "mpeg", "options": {"bf": "2", "g": "15", "threads": "1"}}
    path = write_frames(tmp_path / "video.mpg", (draw_count(index) for index in range(300)), **how)
    monkeypatch.setattr(packets, "KEEP_BYTES", 0)
    with open_video(path, threads=1) as video:
        for start in (280, 100, 205, 31, 150):
            assert [read_count(frame) for frame in video.frames_at(range(start, start + 16, 4))] == list(
                range(start, start + 16, 4)
            )
