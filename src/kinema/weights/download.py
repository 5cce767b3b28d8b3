"""Download files: resume interrupted downloads, check checksums, leave complete files only.

A file is written as `NAME.part` and renamed once its checksum is right. `NAME.sha256` stores the checksum in the format
of sha256sum: if the publisher gives none, later downloads are compared with the first one.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import queue
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from kinema.errors import DownloadError, OutputError
from kinema.files import write_error, write_text

log = logging.getLogger("kinema")

Progress = Callable[[int, int], None]
"""Called with the number of bytes so far and in total (0: unknown)."""

TRIES, PAUSE_S, TIMEOUT_S, PATIENCE_S = 3, 1.0, 4.0, 5.0
"""Tries of a download that does not go on, the pause between them, the longest wait for a server's answer, and the time without a
new byte after which there is no other try: without a network, the error comes within 10 s."""

_BLOCK = 1 << 20
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on a server.

    Args:
        url: http, https or file.
        sha256: checksum, or its first digits; empty if the publisher gives none.
        git_blob: the file's object name in a git repository, which is a checksum too.
    """

    url: str
    sha256: str = ""
    git_blob: str = ""


class _Interrupted(Exception):
    """The connection ended before the file was complete."""


def is_offline() -> bool:
    """Whether KINEMA_OFFLINE or HF_HUB_OFFLINE is set to 1, true, yes or on."""
    values = (os.environ.get(name, "") for name in ("KINEMA_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value.lower() in ("1", "true", "yes", "on") for value in values)


def fetch(remote: Remote, target: Path, progress: Progress = lambda done, total: None) -> Path:
    """Download a file to `target` unless it is there, and check it.

    Several processes and threads can call this at once: one downloads, the others wait.

    Args:
        remote: URL and checksum.
        target: the path of the file; an existing file is checked too.
        progress: called during the download.

    Raises:
        DownloadError: offline, not on the server, interrupted, or a wrong checksum (the file is then deleted).
        OutputError: the file cannot be written.
    """
    if not target.is_file():
        if is_offline() and not remote.url.startswith("file:"):
            do = f"unset KINEMA_OFFLINE and HF_HUB_OFFLINE, or put the file at {target}{_told(remote)}"
            raise DownloadError("this file is not here yet, and the network is switched off", remote.url, do)
        with _locked(target):
            if not target.is_file():
                _download(remote, target, progress)
                return target
    _check(remote, target, target)
    return target


def remember(target: Path) -> None:
    """Store the checksum of a file, after it could be loaded, as `NAME.sha256`, unless there is one."""
    if not _record(target).is_file():
        sha256, _ = checksums(target)
        write_text(_record(target), f"{sha256}  {target.name}\n")


def checksums(path: Path) -> tuple[str, str]:
    """SHA-256 of a file, and its object name in git."""
    sha256, git = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    git.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            git.update(block)
    return sha256.hexdigest(), git.hexdigest()


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Keep other processes and threads from downloading the same file at the same time."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f"{target.name}.lock"))
        try:
            lock.acquire(timeout=1)
        except Timeout:
            log.info("%s: another process is downloading it", target.name)
            lock.acquire()
    except OSError as error:
        raise write_error(error, target.parent) from error
    try:
        yield
    finally:
        lock.release()


def _download(remote: Remote, target: Path, progress: Progress) -> None:
    part = target.with_name(f"{target.name}.part")
    last_byte = time.monotonic()

    def noted(done: int, total: int) -> None:
        nonlocal last_byte
        last_byte = time.monotonic()
        progress(done, total)

    for left in reversed(range(TRIES)):
        try:
            _receive(remote.url, part, noted)
            break
        except (_Interrupted, http.client.HTTPException, OSError) as error:
            code = http.HTTPStatus.INTERNAL_SERVER_ERROR.value
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                code = error.code
            is_over = not left or time.monotonic() - last_byte > PATIENCE_S
            if is_over or code < http.HTTPStatus.INTERNAL_SERVER_ERROR:  # the server would refuse again
                raise _failure(error, remote, part, target) from error
            time.sleep(PAUSE_S)
    _check(remote, part, target)
    os.replace(part, target)
    _tag(part).unlink(missing_ok=True)


def _receive(url: str, part: Path, progress: Progress) -> None:
    """Append the missing bytes to `part`, or start again if the file on the server has changed."""
    with _open(url, part) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = part.stat().st_size if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else 0
        with _writing(part, total - done) as file:
            if not resumed:
                file.truncate(0)
                _tag(part).write_text(response.headers.get("ETag") or "", encoding="latin-1")
            while block := _read(response):
                file.write(block)
                done += len(block)
                progress(done, total)
    if done < total:
        raise _Interrupted(f"{done / _MB:.1f} of {total / _MB:.1f} MB")


def _open(url: str, part: Path) -> Any:
    headers = {"User-Agent": "kinema", "Accept-Encoding": "identity"}
    tag = _tag(part).read_text(encoding="latin-1") if _tag(part).is_file() and part.is_file() else ""
    if tag and not tag.startswith("W/"):  # a weak tag does not promise the same bytes
        headers |= {"Range": f"bytes={part.stat().st_size}-", "If-Range": tag}
    try:
        return _in_time(lambda: urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S))
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        part.unlink()  # it has all of the bytes, or more
        return _open(url, part)


def _in_time(call: Callable[[], Any]) -> Any:
    """The result of a call, or TimeoutError: the look-up of a server's name knows no timeout of its own."""
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        try:
            results.put((call(), None))
        except Exception as error:
            results.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        result, error = results.get(timeout=TIMEOUT_S)
    except queue.Empty:
        raise TimeoutError(f"no answer within {TIMEOUT_S:.0f} s") from None
    if error is not None:
        raise error
    return result


def _read(response: Any) -> bytes:
    """The next block. Errors of the connection become `_Interrupted`, because a full disk is an OSError too."""
    try:
        return response.read(_BLOCK)
    except (http.client.HTTPException, OSError) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error


@contextlib.contextmanager
def _writing(part: Path, num_bytes: int) -> Iterator[BinaryIO]:
    """Open the file to append to; it is deleted if it cannot be written, so that the disk does not stay full."""
    free = shutil.disk_usage(part.parent).free
    if num_bytes > free:
        sizes = f"{num_bytes / _MB:.0f} MB needed, {free / _MB:.0f} MB free"
        raise OutputError(f"not enough space ({sizes})", part.parent, "free some, or set KINEMA_HOME to another disk")
    try:
        with part.open("ab") as file:
            yield file
    except OSError as error:
        part.unlink(missing_ok=True)
        raise write_error(error, part.parent) from error


def _tag(part: Path) -> Path:
    """Path of the file that stores the ETag of the version that `part` is the beginning of."""
    return part.with_name(f"{part.name}.etag")


def _failure(error: Exception, remote: Remote, part: Path, target: Path) -> DownloadError:
    """The error for the user: the server's answer, an interrupted download, or no connection."""
    elsewhere = f"or download the file elsewhere and put it at {target}{_told(remote)}"
    if isinstance(error, urllib.error.HTTPError):
        what = f"the server refuses ({error.code} {error.reason})"
        if error.code in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
            what = f"no longer published there ({error.code})"
        return DownloadError(what, remote.url, f"try again later, {elsewhere}")
    if part.is_file() and part.stat().st_size:
        return DownloadError(f"the download was interrupted ({error})", remote.url, "run it again to resume it")
    cause = getattr(error, "reason", None) or error
    reason = getattr(cause, "strerror", None) or cause
    return DownloadError(f"cannot be downloaded ({reason})", remote.url, f"go online, {elsewhere}")


def _told(remote: Remote) -> str:
    """The checksum, for those who download a file by hand."""
    if remote.sha256:
        return f" (its sha256 begins with {remote.sha256})"
    return f" (its git object name is {remote.git_blob})" if remote.git_blob else ""


def _check(remote: Remote, path: Path, target: Path) -> None:
    """Compare a file with its checksums.

    Raises:
        DownloadError: a checksum is wrong; the file is deleted.
    """
    sha256, git_blob = checksums(path)
    known = _record(target).read_text(encoding="utf-8").split()[:1] if _record(target).is_file() else []
    published = sha256.startswith(remote.sha256) and remote.git_blob in ("", git_blob)
    if published and known in ([], [sha256]):
        return
    path.unlink()
    _tag(path).unlink(missing_ok=True)
    if not published:
        do = "it was deleted: run this again, and tell its publisher if the checksum is wrong again"
        raise DownloadError(f"wrong checksum (sha256 {sha256})", remote.url, do)
    do = f"it was deleted: run this again, or delete {_record(target)} if the file was changed on purpose"
    raise DownloadError(f"not the file of the first download (sha256 {sha256}, then {known[0]})", remote.url, do)
