"""Downloads from a server in this process, which can break off, lie and refuse."""

from __future__ import annotations

import hashlib
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from kinema.errors import DownloadError, OutputError
from kinema.weights import download
from kinema.weights.download import Remote, fetch, remember

DATA = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves DATA as /weights.pth; `breaks` lists after how many bytes the next answers break off."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.etag = DATA, '"one"'
        self.breaks: list[int] = []
        self.ranges: list[str | None] = []
        self.failures: list[int] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of these tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        if self.path != "/weights.pth" or server.failures:
            self.send_error(server.failures.pop(0) if server.failures else 404)
            return
        start = 0
        if self.headers.get("If-Range") == server.etag and server.ranges[-1]:
            start = int(server.ranges[-1].removeprefix("bytes=").rstrip("-"))
        if start and start >= len(server.data):
            self.send_error(416)
            return
        body = server.data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(body[: server.breaks.pop(0)] if server.breaks else body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0)
    monkeypatch.delenv("KINEMA_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "weights.pth"


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_file_comes_once_and_its_progress_is_told(server, target):
    told = []
    assert fetch(Remote(server.url, SHA256[:8]), target, lambda *now: told.append(now)) == target
    fetch(Remote(server.url, SHA256), target)
    assert target.read_bytes() == DATA
    assert len(server.ranges) == 1
    assert told[-1] == (len(DATA), len(DATA))
    assert len(told) >= 3
    assert left_in(target.parent) == {"weights.pth"}


def test_a_cut_connection_goes_on_where_it_stopped(server, target):
    server.breaks = [1_200_000, 1_000_000]
    fetch(Remote(server.url, SHA256), target)
    assert target.read_bytes() == DATA
    assert server.ranges == [None, "bytes=1200000-", "bytes=2200000-"]


def test_a_later_run_goes_on_where_an_earlier_one_broke_off(server, target):
    server.breaks = [1_000_000, 0, 0]
    with pytest.raises(DownloadError, match=r"was interrupted \(1\.0 of 3\.0 MB\).*run it again"):
        fetch(Remote(server.url, SHA256), target)
    assert not target.exists()
    fetch(Remote(server.url, SHA256), target)
    assert target.read_bytes() == DATA
    assert server.ranges[-1] == "bytes=1000000-"


def test_the_beginning_of_an_older_file_is_not_mixed_with_a_newer_one(server, target):
    server.breaks = [1_000_000, 0, 0]
    with pytest.raises(DownloadError):
        fetch(Remote(server.url), target)
    server.data, server.etag = DATA[::-1], '"two"'
    fetch(Remote(server.url), target)
    assert target.read_bytes() == DATA[::-1]


def test_a_part_that_was_complete_already_does_no_harm(server, target):
    target.parent.mkdir()
    part = target.with_name("weights.pth.part")
    part.write_bytes(DATA)
    download._tag(part).write_text(server.etag)
    fetch(Remote(server.url, SHA256), target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("wrong", [{"sha256": "0123abcd"}, {"git_blob": "0" * 40}])
def test_a_file_with_a_wrong_checksum_is_deleted(server, target, wrong):
    with pytest.raises(DownloadError, match=f"wrong checksum .sha256 {SHA256}.*it was deleted"):
        fetch(Remote(server.url, **wrong), target)
    assert left_in(target.parent) == set()


def test_a_file_that_was_damaged_since_is_deleted(server, target):
    fetch(Remote(server.url, SHA256), target)
    target.write_bytes(DATA[:-1])
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(Remote(server.url, SHA256), target)
    fetch(Remote(server.url, SHA256), target)
    assert target.read_bytes() == DATA


def test_gits_object_names_are_checksums(tmp_path):
    (tmp_path / "file").write_bytes(b"what is git's name for this?\n")
    named = subprocess.run(["git", "hash-object", tmp_path / "file"], capture_output=True, text=True)
    assert download.checksums(tmp_path / "file")[1] == named.stdout.strip()


def test_without_a_published_checksum_the_first_download_is_remembered(server, target):
    fetch(Remote(server.url), target)
    remember(target)
    assert target.with_name("weights.pth.sha256").read_text() == f"{SHA256}  weights.pth\n"
    target.unlink()
    server.data = DATA[:-1] + b"!"
    with pytest.raises(DownloadError, match="not the file of the first download"):
        fetch(Remote(server.url), target)
    assert left_in(target.parent) == {"weights.pth.sha256"}


def test_a_missing_file_says_so_at_once(server, target):
    with pytest.raises(DownloadError, match=r"no longer published there \(404\).*put it at .*weights.pth"):
        fetch(Remote(server.url + "x"), target)
    assert len(server.ranges) == 1
    assert left_in(target.parent) == set()


def test_a_server_in_trouble_is_asked_again(server, target):
    server.failures = [503, 502]
    fetch(Remote(server.url, SHA256), target)
    server.failures = [503, 503, 503]
    with pytest.raises(DownloadError, match=r"refuses \(503"):
        fetch(Remote(server.url), target.with_name("other.pth"))


def test_no_network_says_where_to_put_the_file(target):
    with pytest.raises(DownloadError, match=r"cannot be downloaded \(Connection refused\).*put it at .*weights.pth"):
        fetch(Remote("http://127.0.0.1:9/weights.pth"), target)


@pytest.mark.parametrize("name", ["KINEMA_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked_for(server, target, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(DownloadError, match=f"switched off.*{target}"):
        fetch(Remote(server.url, SHA256), target)
    assert server.ranges == []
    target.parent.mkdir()
    target.write_bytes(DATA)
    assert fetch(Remote(server.url, SHA256), target) == target


def test_a_file_url_is_copied(tmp_path, target, monkeypatch):
    monkeypatch.setenv("KINEMA_OFFLINE", "1")
    (tmp_path / "here.pth").write_bytes(DATA)
    fetch(Remote((tmp_path / "here.pth").as_uri(), SHA256), target)
    assert target.read_bytes() == DATA
    with pytest.raises(DownloadError, match="No such file"):
        fetch(Remote((tmp_path / "gone.pth").as_uri()), target.with_name("gone.pth"))


def test_a_full_disk_keeps_nothing(server, target, monkeypatch):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, old[1]))
    try:
        with pytest.raises(OutputError, match="cannot write"):
            fetch(Remote(server.url, SHA256), target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not target.exists()
    assert not target.with_name("weights.pth.part").exists()


def test_a_file_that_does_not_fit_is_not_begun(server, target, monkeypatch):
    usage = download.shutil.disk_usage(target.parent.parent)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage._replace(free=2_000_000))
    with pytest.raises(OutputError, match=r"3 MB needed, 2 MB free.*KINEMA_HOME"):
        fetch(Remote(server.url, SHA256), target)
    assert not target.with_name("weights.pth.part").exists()


def test_a_folder_that_cannot_be_made_says_so(server, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        fetch(Remote(server.url, SHA256), tmp_path / "cache" / "weights.pth")


def test_two_at_once_download_once(server, target):
    errors = []

    def ask() -> None:
        try:
            fetch(Remote(server.url, SHA256), target)
        except Exception as error:  # reported by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(server.ranges) == 1
    assert target.read_bytes() == DATA


HOLDER = """
import sys
from pathlib import Path
from filelock import FileLock
with FileLock(sys.argv[1] + ".lock"):
    print("held", flush=True)
    sys.stdin.buffer.readline()
    Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())
"""


def test_another_process_is_waited_for(server, target, caplog):
    target.parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        waiting = threading.Thread(target=fetch, args=(Remote(server.url, SHA256), target))
        with caplog.at_level("INFO", "kinema"):
            waiting.start()
            waiting.join(timeout=1.3)
            assert waiting.is_alive()
        other.communicate(b"\n" + DATA)
    waiting.join(timeout=5)
    assert not waiting.is_alive()
    assert server.ranges == []
    assert "another process is downloading it" in caplog.text


def test_a_server_that_never_answers_is_given_up_soon(target, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pth"
        with pytest.raises(DownloadError, match=f"cannot be downloaded .*put it at {target} .*begins with abc"):
            fetch(Remote(url, "abc"), target)


def test_a_name_that_is_looked_up_for_ever_is_given_up_soon(target, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_S", 0.1)
    monkeypatch.setattr("socket.getaddrinfo", lambda *given, **options: time.sleep(2))
    started = time.monotonic()
    with pytest.raises(DownloadError, match="no answer within"):
        fetch(Remote("http://nowhere.example/weights.pth"), target)
    assert time.monotonic() - started < 2


def test_the_longest_wait_for_an_error_is_ten_seconds():
    assert 2 * download.TIMEOUT_S + download.PAUSE_S < 10
    assert download.TIMEOUT_S + download.PAUSE_S + download.TIMEOUT_S > download.PATIENCE_S > download.TIMEOUT_S
