"""The sound of a video in a new file: at the same times, copied where the container can hold it, else encoded again."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.video import VideoWriter, open_video
from kinema.video.sound import SoundSource

RATE = 48_000
BEEP_S = 1.0


def film(path: Path, codec: str, video_from_s: float = 0.0) -> Path:
    """Two seconds of black frames, and silence with a beep from `BEEP_S` to 1.25 s."""
    with av.open(str(path), "w") as output:
        picture = output.add_stream("libx264" if path.suffix != ".webm" else "libvpx-vp9", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = output.add_stream(codec, rate=RATE, layout="mono")
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index + round(25 * video_from_s), Fraction(1, 25)
            output.mux(picture.encode(frame))
        output.mux(picture.encode(None))
        times_s = np.arange(2 * RATE) / RATE
        wave = 0.8 * np.sin(2 * math.pi * 440 * times_s) * ((times_s >= BEEP_S) & (times_s < 1.25))
        for start in range(0, len(wave), 960):
            part = av.AudioFrame.from_ndarray(
                (32767 * wave[None, start : start + 960]).astype(np.int16), format="s16", layout="mono"
            )
            part.rate, part.pts, part.time_base = RATE, start, Fraction(1, RATE)
            output.mux(sound.encode(part))
        output.mux(sound.encode(None))
    return path


def beep_s(path: Path) -> tuple[str, float]:
    """Codec of the sound, and when it becomes loud."""
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        for frame in container.decode(track):
            levels = np.abs(frame.to_ndarray().astype(np.float64))
            loud = levels > (3000 if frame.format.name.startswith("s16") else 0.1)
            if loud.any():
                return track.codec_context.name, float(frame.time) + int(loud.argmax()) / RATE
    raise AssertionError("no beep")


def copy(source: Path, target: Path, zero_s: float = 0.0) -> None:
    with VideoWriter(target, 25, (48, 64), sound=SoundSource(str(source), zero_s)) as writer:
        for index in range(50):
            writer.write(np.full((48, 64, 3), 5 * index, np.uint8))


@pytest.mark.parametrize(
    ("source", "codec", "target", "expected"),
    [
        ("a.mp4", "aac", "b.mp4", "aac"),
        ("a.mkv", "libopus", "b.webm", "opus"),
        ("a.mkv", "pcm_s16le", "b.mp4", "aac"),
        ("a.mp4", "aac", "b.webm", "opus"),
        ("a.mkv", "pcm_s16le", "b.mkv", "pcm_s16le"),
    ],
)
def test_the_sound_is_heard_at_the_same_time(tmp_path, source, codec, target, expected):
    copy(film(tmp_path / source, codec), tmp_path / target)
    name, start_s = beep_s(tmp_path / target)
    assert name.removesuffix("float") == expected
    assert start_s == pytest.approx(BEEP_S, abs=0.03)
    with open_video(tmp_path / target) as video:
        assert (video.info.num_frames, video.info.duration_s) == (50, pytest.approx(2.0, abs=0.02))


def test_times_count_from_where_a_player_begins(tmp_path):
    copy(film(tmp_path / "a.mkv", "pcm_s16le"), tmp_path / "b.mkv", zero_s=0.5)
    assert beep_s(tmp_path / "b.mkv")[1] == pytest.approx(BEEP_S - 0.5, abs=0.03)


def test_a_gif_and_a_film_without_sound_have_none(tmp_path):
    copy(film(tmp_path / "a.mp4", "aac"), tmp_path / "b.gif")
    copy(tmp_path / "b.gif", tmp_path / "c.mp4")
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert not container.streams.audio


def test_sound_ends_with_the_video(tmp_path):
    with VideoWriter(
        tmp_path / "b.mp4", 25, (48, 64), sound=SoundSource(str(film(tmp_path / "a.mp4", "aac")), 0)
    ) as writer:
        for _ in range(10):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    with av.open(str(tmp_path / "b.mp4")) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
        last = max(float((packet.pts + (packet.duration or 0)) * packet.time_base) for packet in packets)
    assert last == pytest.approx(0.4, abs=0.05)
