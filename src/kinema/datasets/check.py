"""Whether a data set can be trusted: files that cannot be read, copies, sources on both sides, uneven classes.

A file is bad if it cannot be opened, has no frames, is damaged where it was looked at, or if a span begins after its
end. Copies and near-copies in different parts make validation flatter a network: it has seen the answers.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kinema.datasets.dataset import DataSet
from kinema.datasets.formats.manifest import write_manifest
from kinema.datasets.perceptual_hash import Looks, look_at, near_pairs
from kinema.datasets.splits import torn_groups
from kinema.errors import EmptyVideo, VideoError
from kinema.types import Example, VideoInfo
from kinema.video import Video, cut_off, open_video
from kinema.video.listing import list_images

__all__ = ["CheckReport", "FileCheck", "NearPair", "check_data", "write_manifest"]

_RANK = {"test": 0, "valid": 1, "train": 2, None: 2}


@dataclass(frozen=True, slots=True, eq=False)
class FileCheck:
    """What was found out about one file: `reason` is empty where it is well, `info` None where it cannot be opened."""

    path: str
    status: Literal["ok", "unreadable", "empty", "damaged", "span"]
    reason: str = ""
    info: VideoInfo | None = None
    sha256: str = ""
    looks: Looks | None = None

    @property
    def is_bad(self) -> bool:
        """Whether it should be left out."""
        return self.status != "ok"


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two files that look alike: bits of 256 in which their perceptual hashes differ."""

    path: str
    other: str
    distance: int


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What a check found.

    Args:
        data: what was checked.
        files: one entry a file, in the data set's order.
        duplicates: paths of files with the same bytes.
        near: files that look alike and stand in different parts or, where there are no parts, not in one group.
        torn: groups and files that stand in more than one part, see `torn_groups`.
    """

    data: DataSet
    files: tuple[FileCheck, ...]
    duplicates: tuple[tuple[str, ...], ...]
    near: tuple[NearPair, ...]
    torn: tuple[str, ...]

    @property
    def bad(self) -> tuple[FileCheck, ...]:
        """Files that should be left out."""
        return tuple(file for file in self.files if file.is_bad)

    @property
    def conflicting(self) -> tuple[tuple[str, ...], ...]:
        """Those duplicates whose copies carry different labels."""
        labels = _by_path(self.data)
        return tuple(paths for paths in self.duplicates if len({_labels(labels[path]) for path in paths}) > 1)

    @property
    def leaking(self) -> tuple[tuple[str, ...], ...]:
        """Those duplicates whose copies stand in different parts."""
        examples = _by_path(self.data)
        return tuple(p for p in self.duplicates if len({e.split for path in p for e in examples[path]}) > 1)

    def clean(self) -> DataSet:
        """The data set without bad files and copies.

        Of copies with the same labels one stays, that of the test part before valid before train; copies with different
        labels all go, because nobody can tell which is right.
        """
        examples = _by_path(self.data)
        gone = {file.path for file in self.bad}
        for paths in self.duplicates:
            stays = [] if paths in self.conflicting else [min(paths, key=lambda path: _RANK[examples[path][0].split])]
            gone |= set(paths) - set(stays)
        return self.data.with_examples(example for example in self.data.examples if example.path not in gone)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary of everything but pixels."""
        infos = [file.info for file in self.files if file.info is not None]
        return {
            "name": self.data.name,
            "root": self.data.root,
            "ok": not self.bad,
            "num_examples": len(self.data),
            "num_files": len(self.files),
            "classes": self.data.counts(),
            "parts": {part: self.data.part(part).counts() for part in self.data.parts},
            "bad": [{"path": file.path, "status": file.status, "reason": file.reason} for file in self.bad],
            "duplicates": [list(paths) for paths in self.duplicates],
            "duplicates_across_parts": [list(paths) for paths in self.leaking],
            "duplicates_with_other_labels": [list(paths) for paths in self.conflicting],
            "near_duplicates": [
                {"path": pair.path, "other": pair.other, "distance": pair.distance} for pair in self.near
            ],
            "torn_groups": list(self.torn),
            "durations_s": spread([info.duration_s for info in infos]),
            "num_frames": spread([info.num_frames for info in infos]),
            "frame_rates": _common(f"{info.fps:g}" for info in infos),
            "sizes": _common(f"{info.width}x{info.height}" for info in infos),
        }


def check_data(
    data: DataSet,
    *,
    near: bool = True,
    full: bool = False,
    num_threads: int = 4,
    advance: Callable[[int], None] = lambda count: None,
) -> CheckReport:
    """Open every file, decode a few frames of it, and compare.

    Args:
        data: what to check.
        near: also look for files that look alike.
        full: decode every frame, to find damage in the middle; as slow as playing all of it fast.
        num_threads: files looked at at the same time.
        advance: called with the number of files done since the last call.
    """
    examples = _by_path(data)
    files: list[FileCheck] = []
    with ThreadPoolExecutor(max_workers=max(num_threads, 1)) as pool:
        for file in pool.map(lambda item: _check_file(*item, near=near, full=full), examples.items()):
            files.append(file)
            advance(1)
    copies = _duplicates(files)
    torn = tuple(torn_groups(data)) if data.has_parts else ()
    return CheckReport(data, tuple(files), copies, _near(files, copies, examples) if near else (), torn)


def spread(values: Iterable[float]) -> dict[str, float]:
    """Least, middle and greatest of some numbers; empty for none."""
    found = sorted(values)
    if not found:
        return {}
    return {"min": round(found[0], 3), "median": round(float(np.median(found)), 3), "max": round(found[-1], 3)}


def _by_path(data: DataSet) -> dict[str, list[Example]]:
    examples: defaultdict[str, list[Example]] = defaultdict(list)
    for example in data.examples:
        examples[example.path].append(example)
    return dict(examples)


def _labels(examples: list[Example]) -> tuple[str, ...]:
    return tuple(sorted({label for example in examples for label in example.labels}))


def _check_file(path: str, examples: list[Example], *, near: bool, full: bool) -> FileCheck:
    info, promised_s = None, 0.0
    try:
        with open_video(path, threads=1) as video:
            info, promised_s = video.info, video.promised_s
            looks = look_at(video)
            damaged = _count_damaged(video) if full else 0
        sha256 = _digest(path)
    except EmptyVideo as error:
        return FileCheck(path, "empty", str(error))
    except (VideoError, OSError) as error:
        return FileCheck(path, "unreadable" if info is None else "damaged", str(error), info)
    if damage := cut_off(info, promised_s) or (
        f"{damaged} of {info.num_frames} frames cannot be decoded" if damaged else ""
    ):
        return FileCheck(path, "damaged", f"{damage}: {path}: copy or export it again", info, sha256)
    late = [e.key for e in examples if e.span is not None and e.span.start_s >= info.duration_s]
    if late:
        return FileCheck(path, "span", f"{late[0]} begins after the end, at {info.duration_s:g} s", info, sha256)
    return FileCheck(path, "ok", "", info, sha256, looks if near else None)


def _count_damaged(video: Video) -> int:
    for _ in video.iterate(32):
        pass
    return video.num_damaged


def _digest(path: str) -> str:
    """SHA-256 of a file's bytes, or of those of all files in a folder of pictures."""
    paths = list_images(path) if os.path.isdir(path) else [path]
    digest = hashlib.sha256()
    for name in paths:
        with open(name, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _duplicates(files: list[FileCheck]) -> tuple[tuple[str, ...], ...]:
    same: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        if file.sha256:
            same[file.sha256].append(file.path)
    return tuple(tuple(paths) for paths in same.values() if len(paths) > 1)


def _near(
    files: list[FileCheck], copies: tuple[tuple[str, ...], ...], examples: dict[str, list[Example]]
) -> tuple[NearPair, ...]:
    """Pairs that look alike, are no copies byte by byte, and that no group keeps together."""
    known = {path: number for number, paths in enumerate(copies) for path in paths}
    seen = [(file.path, file.looks) for file in files if file.looks is not None]
    pairs = near_pairs([looks for _, looks in seen], [examples[path][0].split for path, _ in seen])
    named = [NearPair(seen[a][0], seen[b][0], distance) for a, b, distance in pairs]
    return tuple(
        pair
        for pair in named
        if known.get(pair.path, -1) != known.get(pair.other, -2)
        and not _kept_together(examples[pair.path][0], examples[pair.other][0])
    )


def _kept_together(one: Example, other: Example) -> bool:
    return one.split == other.split and one.group is not None and one.group == other.group


def _common(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, the most frequent first."""
    return dict(Counter(values).most_common())
