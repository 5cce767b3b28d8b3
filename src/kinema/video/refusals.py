"""What cannot be a video file: addresses, cameras, pipes, devices, broken links, texts; the error says what to do instead.

Opening a pipe or a device may wait for ever, so these are found by their kind, before anything is opened.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from kinema.errors import UnreadableVideo

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:/?/", re.IGNORECASE)
_SNIFFED = 512  # bytes of a file that tell a text
_LFS = b"version https://git-lfs"
_OTHERS = {
    "a file of a network, not a video": ("give it to --model", "onnx xml safetensors pt pth ckpt tar.pth pt2 bin"),
    "a table, not a video": ("`kinema evaluate --model MODEL TABLE` reads tables", "csv tsv parquet pq"),
    "an archive, not a video": ("unpack it first", "zip tar gz tgz bz2 xz zst 7z rar"),
    "a file with sound only": ("give a video file", "mp3 wav flac aac m4a"),
}
_BY_ENDING = {f".{ending}": (what, do) for what, (do, endings) in _OTHERS.items() for ending in endings.split()}


def refusal(path: str | os.PathLike[str]) -> UnreadableVideo | None:
    """Why a path cannot be read as a file or a folder; None if it may be.

    The file is not opened. Links are followed.
    """
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        return _missing(os.fspath(path), error)
    if stat.S_ISDIR(state.st_mode):
        return None
    if not stat.S_ISREG(state.st_mode):
        return _special(os.fspath(path), state.st_mode)
    if not os.access(path, os.R_OK):
        return UnreadableVideo("no permission to read this file", path, "change its permissions (chmod +r)")
    if state.st_size == 0:
        return UnreadableVideo("the file is empty", path, "copy or download it again")
    return None


def is_address(path: str) -> bool:
    """Whether a path looks like an address, such as https://HOST/FILE or rtsp://HOST."""
    return _ADDRESS.match(path) is not None


def not_a_video(path: str, reason: str) -> UnreadableVideo:
    """The error for an existing file that no demuxer opens, by its ending and first bytes; `reason` is that of FFmpeg."""
    what, do = _BY_ENDING.get(os.path.splitext(path)[1].lower(), ("", ""))
    if not what:
        with open(path, "rb") as file:
            head = file.read(_SNIFFED)
        if head.startswith(_LFS):
            what, do = "a pointer of Git LFS, not the video itself", "fetch the video with `git lfs pull`"
        elif _is_text(head):
            what, do = "a text, not a video", "copy or download it again: a failed download may have saved a web page"
        else:
            what, do = f"not a video, or damaged ({reason})", "copy it again, or convert it with ffmpeg"
    return UnreadableVideo(what, path, do)


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8 without control characters; the last letter may be cut off."""
    text = head.decode("utf-8", "replace").rstrip("\ufffd")
    return (
        bool(text)
        and "\ufffd" not in text
        and all(letter.isprintable() or letter in "\t\r\n\f\ufeff" for letter in text)
    )


def _missing(path: str, error: OSError | ValueError) -> UnreadableVideo:
    """The error for a path that leads to nothing."""
    if isinstance(error, ValueError):
        return UnreadableVideo("no such file or folder", repr(path), "check the spelling of the path")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnreadableVideo("no permission to look into this folder", path, "change its permissions (chmod +x)")
    if os.path.islink(path):
        target = os.readlink(path)
        return UnreadableVideo(
            f"a link to {target}, which does not exist", path, "restore the target, or delete the link"
        )
    if is_address(path):
        return UnreadableVideo("an address, not a file", path, f"download it, or use `kinema watch {path}`")
    do = f"for camera {path} use `kinema watch {path}`" if path.isdecimal() else "check the spelling of the path"
    return UnreadableVideo("no such file or folder", path, do)


def _special(path: str, mode: int) -> UnreadableVideo:
    """The error for what is neither a file nor a folder."""
    if stat.S_ISCHR(mode):
        do = f"for a camera use `kinema watch {path}`" if os.path.basename(path).startswith("video") else "give a file"
        return UnreadableVideo("a device, not a file", path, do)
    if stat.S_ISFIFO(mode):
        return UnreadableVideo("a pipe, not a file", path, f"save it as a file, or use `kinema watch - < {path}`")
    kind = "a socket" if stat.S_ISSOCK(mode) else "a block device"
    return UnreadableVideo(f"{kind}, not a file", path, "give a file")
