from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from kinema.video import cut_off, open_video


def _cut_off(path: Path) -> str:
    with open_video(path) as video:
        return cut_off(video.info)


def test_a_video_whose_second_half_is_missing_says_where_it_breaks_off(tmp_path, mkv_video, write_frames, draw_count):
    path = write_frames(tmp_path / "cut.mkv", (draw_count(index) for index in range(60)), options={"g": "12"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert _cut_off(path).startswith("it breaks off at ")
    assert _cut_off(path).endswith("of 2.4 s")
    assert _cut_off(mkv_video) == ""  # its header promises nothing


def test_whole_videos_and_images_are_whole(
    counting_video, one_frame_video, vfr_video, edit_list_video, negative_video, gif_video, still_image, image_folder
):
    for path in (
        counting_video, one_frame_video, vfr_video, edit_list_video, negative_video, gif_video, still_image, image_folder
    ):  # fmt: skip
        assert _cut_off(path) == "", path


STARTING_LATE = [
    (".mkv", "libx264", 10), (".webm", "libvpx", 10), (".wmv", "wmv2", 10), (".nut", "libx264", 10),
    (".mkv", "libx264", 3_600_000),
    (".ts", "libx264", 10), (".mp4", "libx264", 10), (".flv", "libx264", 10), (".mkv", "libx264", 0.96),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "codec", "start_s"), STARTING_LATE)
def test_a_video_that_does_not_begin_at_zero_is_whole(ending, codec, start_s, tmp_path, write_frames, draw_count):
    times_ms = [int(1000 * start_s) + 40 * index for index in range(60)]
    keep = {"avoid_negative_ts": "disabled"}
    how = {"codec": codec, "times_ms": times_ms, "container_options": keep, "options": {"g": "12"}}
    path = write_frames(tmp_path / f"a{ending}", map(draw_count, range(60)), **how)
    with open_video(path) as video:
        np.testing.assert_allclose(video.times_s, np.arange(60) / 25, atol=2e-3)
        assert video.info.duration_s == pytest.approx(2.4, abs=0.05)
        assert cut_off(video.info, video.promised_s) == ""
        assert cut_off(video.info) == ""
        assert video.promised_s in (0, pytest.approx(2.4, abs=0.1))


SOURCES = {".wmv": "source.wmv", ".webm": "source.webm"}
CODECS = {".wmv": "wmv2", ".webm": "libvpx"}


def coded(ending: str) -> dict[str, object]:
    return {"codec": CODECS.get(ending, "libx264"), "options": {"g": "25"}}


def with_sound(source: Path, path: Path, sound_s: float, video_start_s: float = 0.0) -> Path:
    """The video of a file, with silence from 0 on; both are interleaved, as recordings are."""
    with av.open(str(source)) as file, av.open(str(path), "w") as output:
        (track,) = file.streams.video
        stream = output.add_stream_from_template(track)
        codec = "libopus" if path.suffix == ".webm" else "libmp3lame"
        rate = 48000 if codec == "libopus" else 44100
        sound = output.add_stream(codec, rate=rate, layout="stereo")
        packets = []
        for packet in file.demux(track):
            if packet.size:
                shift = round(video_start_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packets.append((float(packet.dts * packet.time_base), packet))
        size = 1024
        silence = np.zeros((2, size), np.float32)
        for number in range(int(sound_s * rate / size)):
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
            frame.rate, frame.pts = rate, number * size
            packets += [(float(p.dts * p.time_base), p) for p in sound.encode(frame) if p.dts is not None]
        packets += [(sound_s, p) for p in sound.encode(None)]
        for _, packet in sorted(packets, key=lambda entry: entry[0]):
            if not packet.stream or packet.stream.type == "video":
                packet.stream = stream
            output.mux(packet)
    return path


@pytest.mark.parametrize("ending", [".mkv", ".flv", ".wmv", ".webm"])
def test_a_video_with_sound_that_breaks_off_is_told(ending, tmp_path, write_frames, draw_count):
    source = write_frames(
        tmp_path / SOURCES.get(ending, "source.mp4"),
        map(draw_count, range(200)),
        codec=CODECS.get(ending, "libx264"),
        options={"g": "25"},
    )
    whole = with_sound(source, tmp_path / f"whole{ending}", 8.0)
    assert _cut_off(whole) == ""
    path = tmp_path / f"cut{ending}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert _cut_off(path).startswith("it breaks off at ")
    assert _cut_off(path).endswith("of 8.0 s")


@pytest.mark.parametrize("ending", [".mkv", ".flv", ".wmv", ".webm", ".mp4"])
def test_sound_that_lasts_longer_is_no_damage(ending, tmp_path, write_frames, draw_count):
    source = write_frames(
        tmp_path / SOURCES.get(ending, "source.mp4"),
        map(draw_count, range(100)),
        codec=CODECS.get(ending, "libx264"),
        options={"g": "25"},
    )
    assert _cut_off(with_sound(source, tmp_path / f"a{ending}", 9.0)) == ""


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".ts", ".flv", ".webm"])
def test_a_video_that_begins_after_the_sound_is_timed_by_the_sound(ending, tmp_path, write_frames, draw_count):
    source = write_frames(
        tmp_path / SOURCES.get(ending, "source.mp4"),
        map(draw_count, range(50)),
        codec=CODECS.get(ending, "libx264"),
        options={"g": "25"},
    )
    with open_video(with_sound(source, tmp_path / f"a{ending}", 5.0, video_start_s=3.0)) as video:
        np.testing.assert_allclose(video.times_s, 3 + np.arange(50) / 25, atol=0.06)
        assert video.info.duration_s == pytest.approx(5, abs=0.06)
        assert video.info.fps == 25
        assert [index for index, _, _ in video.iterate(start_s=3.5, end_s=3.9)] == pytest.approx(range(12, 22), abs=2)
        assert cut_off(video.info, video.promised_s) == ""
    with open_video(with_sound(source, tmp_path / f"b{ending}", 2.0)) as video:
        assert video.times_s[0] == 0
