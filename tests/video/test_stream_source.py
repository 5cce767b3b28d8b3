"""What is live, and what can be opened again."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
import time
from pathlib import Path

import av
import pytest

from kinema.errors import UnreadableVideo
from kinema.video.stream_source import READ_TIMEOUT_S, Source, open_source, reason_of


@contextlib.contextmanager
def opened(name: str):
    source = open_source(name, threading.Event())
    try:
        yield source
    finally:
        source.container.close()


def test_a_file_is_not_live(short_video: Path) -> None:
    with opened(str(short_video)) as source:
        assert isinstance(source, Source)
        assert (source.is_live, source.reopens, source.has_timestamps) == (False, False, True)
        assert source.fps == 25


def fill(target: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(target, "wb", buffering=0) as file:
        file.write(data)


@pytest.mark.parametrize("redirected", [True, False])
def test_a_pipe_is_live_and_a_redirected_file_is_not(mkv_video: Path, monkeypatch, redirected: bool) -> None:
    if redirected:
        file = mkv_video.open("r")
    else:
        end, target = os.pipe()
        file = os.fdopen(end, "r")
        threading.Thread(target=fill, args=(target, mkv_video.read_bytes()), daemon=True).start()
    with file:
        monkeypatch.setattr("sys.stdin", file)
        with opened("-") as source:
            assert source.is_live != redirected
            assert not source.reopens


def test_an_address_that_states_its_length_ends(mkv_video: Path) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            data = mkv_video.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with opened(f"http://127.0.0.1:{server.server_address[1]}/film.mkv") as source:
            assert (source.is_live, source.reopens) == (True, False)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_raw_streams_have_no_timestamps(raw_video: Path) -> None:
    with opened(str(raw_video)) as source:
        assert not source.has_timestamps


def test_an_address_without_a_server_is_one_quick_error() -> None:
    began_s = time.monotonic()
    with pytest.raises(UnreadableVideo, match="cannot open the stream") as caught:
        open_source("http://no-such-camera.invalid/", threading.Event())
    assert time.monotonic() - began_s < 10
    assert len(str(caught.value).splitlines()) == 1


def test_a_time_out_is_said_in_words() -> None:
    stalled = av.error.ExitError(1, "Immediate exit requested")
    assert reason_of(stalled) == f"no data for {READ_TIMEOUT_S:.0f} s"
    assert reason_of(OSError(5, "Input/output error")) == "Input/output error"
