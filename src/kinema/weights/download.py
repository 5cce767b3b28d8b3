"""Files from the internet into a folder of the user's: resumed where they broke off, checked, whole or not there.

A file arrives as `NAME.part` and gets its name once its checksum is right. `NAME.sha256` keeps what it was, in the
format of sha256sum: where its publisher gives no checksum, later downloads are held to the first one.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import shutil
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
"""Called with the bytes that are there and those that there will be (0: the server does not say)."""

TRIES, PAUSE_S, TIMEOUT_S = 3, 1.0, 20.0

_BLOCK = 1 << 20
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on a server.

    Args:
        url: http, https or file.
        sha256: its checksum or the first digits of it; empty where its publisher gives none.
        git_blob: its object name in a git repository, which is a checksum too.
    """

    url: str
    sha256: str = ""
    git_blob: str = ""


class _BrokenOff(Exception):
    """The connection ended before the file did."""


def is_offline() -> bool:
    """Whether the user forbids the network: KINEMA_OFFLINE or HF_HUB_OFFLINE is set to something like yes."""
    values = (os.environ.get(name, "") for name in ("KINEMA_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value.lower() in ("1", "true", "yes", "on") for value in values)


def fetch(remote: Remote, target: Path, progress: Progress = lambda done, total: None) -> Path:
    """Give the file that belongs at `target`; download it if it is not there yet.

    Several processes and threads may ask at once: one downloads, the others wait for it.

    Args:
        remote: where it comes from, and its checksum.
        target: where it goes; what is there already is checked.
        progress: called now and then while it comes.

    Raises:
        DownloadError: offline, not there, broken off, or not what it should be (it is then deleted).
        OutputError: it cannot be written.
    """
    if not target.is_file():
        _refuse_if_offline(remote, target)
        with _alone(target):
            if not target.is_file():
                _download(remote, target, progress)
                return target
    _check(remote, target, target)
    return target


def remember(target: Path) -> None:
    """Write the checksum of a file that turned out to be good beside it, unless there is one."""
    if not _record(target).is_file():
        sha256, _ = checksums(target)
        write_text(_record(target), f"{sha256}  {target.name}\n")


def checksums(path: Path) -> tuple[str, str]:
    """SHA-256, and the name that git would give the file."""
    sha256, git = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    git.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            git.update(block)
    return sha256.hexdigest(), git.hexdigest()


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _refuse_if_offline(remote: Remote, target: Path) -> None:
    if is_offline() and not remote.url.startswith("file:"):
        do = f"unset KINEMA_OFFLINE and HF_HUB_OFFLINE, or put the file at {target}"
        raise DownloadError("this file is not here yet, and the network is switched off", remote.url, do)


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep other processes and threads from downloading the same file meanwhile."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f"{target.name}.lock"))
        try:
            lock.acquire(timeout=1)
        except Timeout:
            log.info("%s: another process is fetching it", target.name)
            lock.acquire()
    except OSError as error:
        raise write_error(error, target.parent) from error
    try:
        yield
    finally:
        lock.release()


def _download(remote: Remote, target: Path, progress: Progress) -> None:
    part = target.with_name(f"{target.name}.part")
    for left in reversed(range(TRIES)):
        try:
            _receive(remote.url, part, progress)
            break
        except urllib.error.HTTPError as error:
            with error:
                if error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR or not left:
                    raise _refused(error, remote, target) from error
            time.sleep(PAUSE_S)
        except (_BrokenOff, http.client.HTTPException, OSError) as error:
            if not left:
                raise _lost(error, remote, part, target) from error
            time.sleep(PAUSE_S)
    _check(remote, part, target)
    os.replace(part, target)
    _tag(part).unlink(missing_ok=True)


def _receive(url: str, part: Path, progress: Progress) -> None:
    """Add to `part` what is missing, or begin anew where the server's file is no longer the same."""
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
        raise _BrokenOff(f"{done / _MB:.1f} of {total / _MB:.1f} MB")


def _open(url: str, part: Path) -> Any:
    headers = {"User-Agent": "kinema", "Accept-Encoding": "identity"}
    tag = _tag(part).read_text(encoding="latin-1") if _tag(part).is_file() and part.is_file() else ""
    if tag and not tag.startswith("W/"):  # a weak tag does not promise the same bytes
        headers |= {"Range": f"bytes={part.stat().st_size}-", "If-Range": tag}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        part.unlink()  # it had all of the bytes, or more
        return _open(url, part)


def _read(response: Any) -> bytes:
    """The next block. Errors of the connection come as `_BrokenOff`: a full disk is an OSError as well."""
    try:
        return response.read(_BLOCK)
    except (http.client.HTTPException, OSError) as error:
        raise _BrokenOff(str(error) or type(error).__name__) from error


@contextlib.contextmanager
def _writing(part: Path, num_bytes: int) -> Iterator[BinaryIO]:
    """The file to add to; where it cannot be written it is removed, so that the disk does not stay full."""
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
    """Keeps the server's name for the version of the file that `part` is the beginning of."""
    return part.with_name(f"{part.name}.etag")


def _refused(error: urllib.error.HTTPError, remote: Remote, target: Path) -> DownloadError:
    do = f"try again later, or get the file elsewhere and put it at {target}"
    if error.code in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
        return DownloadError(f"no longer published there ({error.code})", remote.url, do)
    return DownloadError(f"the server refuses ({error.code} {error.reason})", remote.url, do)


def _lost(error: Exception, remote: Remote, part: Path, target: Path) -> DownloadError:
    if part.is_file() and part.stat().st_size:
        return DownloadError(f"the download broke off ({error})", remote.url, "run it again: it goes on from there")
    cause = getattr(error, "reason", None) or error
    reason = getattr(cause, "strerror", None) or cause
    do = f"go online, or get the file elsewhere and put it at {target}"
    return DownloadError(f"cannot be fetched ({reason})", remote.url, do)


def _check(remote: Remote, path: Path, target: Path) -> None:
    """Hold a file to its checksums.

    Raises:
        DownloadError: it is another one; it is deleted.
    """
    sha256, git_blob = checksums(path)
    known = _record(target).read_text(encoding="utf-8").split()[:1] if _record(target).is_file() else []
    published = sha256.startswith(remote.sha256) and remote.git_blob in ("", git_blob)
    if published and known in ([], [sha256]):
        return
    path.unlink()
    _tag(path).unlink(missing_ok=True)
    if not published:
        do = "it was deleted: run this again, and if it stays wrong tell its publisher"
        raise DownloadError(f"wrong checksum (sha256 {sha256})", remote.url, do)
    do = f"it was deleted: run this again, or delete {_record(target)} if the file was changed on purpose"
    raise DownloadError(f"not the file of the first download (sha256 {sha256}, then {known[0]})", remote.url, do)
