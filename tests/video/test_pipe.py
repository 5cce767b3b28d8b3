"""Standard input is read as data arrive."""

from __future__ import annotations

import io
import os
import threading

import pytest

from kinema.video.pipe import Pipe, open_pipe


def test_a_pipe_gives_what_is_there_and_ends_when_it_is_to_stop(monkeypatch):
    stop, (source, target) = threading.Event(), os.pipe()
    with os.fdopen(source, "rb") as reading, os.fdopen(target, "wb", buffering=0) as writing:
        monkeypatch.setattr("sys.stdin", reading)
        pipe = Pipe(stop)
        writing.write(b"abcdef")
        assert pipe.peek(4) == b"abcd"
        assert [pipe.read(3), pipe.read(32768), pipe.read(32768)] == [b"abc", b"d", b"ef"]
        stop.set()
        assert pipe.read(32768) == b""


def box(kind: bytes, size: int) -> bytes:
    return size.to_bytes(4, "big") + kind + bytes(size - 8)


@pytest.mark.parametrize(
    ("data", "is_copied"),
    [
        (box(b"ftyp", 16) + box(b"free", 8) + box(b"mdat", 80), True),
        (box(b"ftyp", 16) + box(b"moov", 40) + box(b"mdat", 80), False),
        (box(b"ftyp", 16) + box(b"moof", 40), False),
        (b"\x1a\x45\xdf\xa3" + bytes(60), False),
        (b"", False),
    ],
)
def test_a_video_with_its_index_at_the_end_is_copied_to_be_seekable(monkeypatch, data, is_copied):
    source, target = os.pipe()
    with os.fdopen(source, "r") as reading:
        with os.fdopen(target, "wb") as writing:
            writing.write(data)
        monkeypatch.setattr("sys.stdin", reading)
        opened = open_pipe(threading.Event())
        assert isinstance(opened, Pipe) != is_copied
        assert b"".join(iter(lambda: opened.read(32768), b"")) == data
        if is_copied:
            opened.seek(0, io.SEEK_END)
            assert opened.tell() == len(data)
            opened.close()
