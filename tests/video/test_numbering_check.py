from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from kinema.video.numbering_check import NumberingCheck


def written(path: Path, codec: str, **options: str) -> Path:
    """Ten frames of moving noise."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 128, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            frame = np.ascontiguousarray(noise[:, 4 * number : 4 * number + 64])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def check_of(path: Path, *, made_up: bool = False) -> NumberingCheck:
    """The check after all packets of a file; `made_up` replaces their timestamps by their places."""
    with av.open(str(path)) as container:
        check = NumberingCheck(container.streams.video[0].codec_context)
        for place, packet in enumerate(packet for packet in container.demux(video=0) if packet.size):
            check.add(packet, place if made_up else packet.pts)
        return check


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_b_frames_whose_timestamps_never_fall_are_doubted(codec: str, tmp_path: Path) -> None:
    path = written(tmp_path / "b.mp4", codec, bf="2")
    assert not check_of(path).needs_decoding
    assert check_of(path, made_up=True).needs_decoding


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_in_their_order_are_not_doubted(codec: str, tmp_path: Path) -> None:
    path = written(tmp_path / "p.mp4", codec, bf="0")
    assert not check_of(path, made_up=True).needs_decoding
    assert not check_of(path).has_fields
