"""Fixtures for the tests of the video reader, and a writer of H.264 in fields (ITU-T H.264, 7.3): no encoder at hand does it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from kinema.video import packets


@pytest.fixture(params=["kept", "sought"])
def packets_kept(request, monkeypatch):
    """Packets from memory, and from the file with seeks as for a large video."""
    if request.param == "sought":
        monkeypatch.setattr(packets, "KEEP_BYTES", 0)


@pytest.fixture(scope="session")
def write_fields() -> Callable[..., Path]:
    return _write_fields


@pytest.fixture(scope="session")
def copy_packets() -> Callable[..., Path]:
    return _copy_packets


def _copy_packets(source: Path, path: Path, change: Callable[[av.Packet, int], None], **how: str) -> Path:
    """Copy the video packets of a file; `change` gets each packet and its number before it is written."""
    with av.open(str(source)) as file, av.open(str(path), "w", **how) as output:
        (track,) = file.streams.video
        stream = output.add_stream_from_template(track)
        for number, packet in enumerate(packet for packet in file.demux(track) if packet.size):
            change(packet, number)
            packet.stream = stream
            output.mux(packet)
    return path


_PCM = 25  # type of a macroblock that holds its samples as they are


class _Writer:
    def __init__(self) -> None:
        self.bits = ""

    def put(self, value: int, count: int) -> None:
        self.bits += f"{value:0{count}b}"

    def golomb(self, *values: int) -> None:
        for value in values:
            self.put(value + 1, 2 * (value + 1).bit_length() - 1)

    def unit(self, header: int) -> bytes:
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        data = int(bits, 2).to_bytes(len(bits) // 8)
        return b"\0\0\0\1" + bytes([header]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", data)


def _parameters(height: int, width: int) -> bytes:
    sequence = _Writer()
    sequence.put(77 << 16 | 30, 24)
    sequence.golomb(0, 0, 0, 0, 1)  # number, bits of a frame number (4), order by count (of 4 bits), reference frames
    sequence.put(0, 1)
    sequence.golomb(width // 16 - 1, height // 32 - 1)
    sequence.put(0b0010_0, 5)  # not frames only, no adaptive macroblocks, direct 8x8, no cropping, nothing on usage
    picture = _Writer()
    picture.golomb(0, 0)
    picture.put(0, 2)
    picture.golomb(0, 0, 0)
    picture.put(0, 3)
    picture.golomb(0, 0, 0)
    picture.put(0, 3)
    return sequence.unit(0x67) + picture.unit(0x68)


def _field(planes: list[NDArray[np.uint8]], number: int, bottom: int) -> bytes:
    out = _Writer()
    out.golomb(0, 7, 0)  # first macroblock, intra only, parameters
    out.put(0, 4)
    out.put(2 | bottom, 2)
    if not bottom:
        out.golomb(number % 2)
    out.put(bottom, 4)
    out.put(0, 1 if bottom else 2)
    out.golomb(0)
    luma, *chroma = (plane[bottom::2] for plane in planes)
    for y in range(0, len(luma), 16):
        for x in range(0, luma.shape[1], 16):
            out.golomb(_PCM)
            out.bits += "0" * (-len(out.bits) % 8)
            samples = [luma[y : y + 16, x : x + 16], *(c[y // 2 : y // 2 + 8, x // 2 : x // 2 + 8] for c in chroma)]
            out.bits += "".join(f"{value:08b}" for part in samples for value in part.reshape(-1).tolist())
    return out.unit(0x61 if bottom else 0x65)


def _write_fields(path: Path, frames: list[NDArray[np.uint8]]) -> Path:
    """A bare H.264 stream in which each frame [h w c], of sides that 32 divides, is coded as two fields."""
    data = _parameters(*frames[0].shape[:2])
    for number, pixels in enumerate(frames):
        plane = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p").to_ndarray()
        height, width = pixels.shape[:2]
        chroma = plane[height:].reshape(2, height // 2, width // 2)
        for bottom in (0, 1):
            data += _field([plane[:height], *chroma], number, bottom)
    path.write_bytes(data)
    return path
