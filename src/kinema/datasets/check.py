"""Checks a data set: files that cannot be read, copies, sources in several parts, uneven classes.

A file is bad if it cannot be opened, has no frame or damaged ones, or if a span begins or ends after its end. Copies and
near-duplicates in different parts make validation scores too high: the network has been trained on the answers.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from kinema.datasets.dataset import DataSet
from kinema.datasets.formats.manifest import write_manifest
from kinema.datasets.located_check import LocatedReport, check_located
from kinema.datasets.perceptual_hash import PerceptualHash, hash_video, similar_pairs
from kinema.datasets.splits import torn_groups
from kinema.errors import DataError, EmptyVideo, VideoError
from kinema.types import IMAGE_FPS, Example, VideoInfo
from kinema.video import cut_off, open_video
from kinema.video.image_series import list_images

__all__ = ["CheckReport", "FileCheck", "NearPair", "check_data", "write_manifest"]

_TOLERATED_S = 1.0  # lists round times up, and cut files end between two frames
_KEPT_FIRST = {"test": 0, "valid": 1, "train": 2, None: 2}
"""Of copies in several parts, the one with the lowest number is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class FileCheck:
    """The result for one file: `reason` is empty if it is sound, `info` is None if it cannot be opened."""

    path: str
    status: Literal["ok", "unreadable", "empty", "damaged", "span"]
    reason: str = ""
    info: VideoInfo | None = None
    sha256: str = ""
    perceptual_hash: PerceptualHash | None = None

    @property
    def is_bad(self) -> bool:
        """Whether it should be left out."""
        return self.status != "ok"


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two similar files; `distance` is the number of bits, of 256, in which their perceptual hashes differ."""

    path: str
    other: str
    distance: int


@dataclass(frozen=True, eq=False)
class CheckReport:
    """The result of a check.

    Args:
        data: the data set.
        files: one entry for each file, in the data set's order.
        duplicates: paths of files with the same bytes.
        near: similar files in different parts or, without parts, not in one group.
        torn: groups and files in more than one part, see `torn_groups`.
        located: what is wrong with the times of actions, if examples have times.
        faults: rows that could not be used and were left out.
    """

    data: DataSet
    files: tuple[FileCheck, ...]
    duplicates: tuple[tuple[str, ...], ...]
    near: tuple[NearPair, ...]
    torn: tuple[str, ...]
    located: LocatedReport | None = None
    faults: tuple[str, ...] = ()

    @property
    def bad(self) -> tuple[FileCheck, ...]:
        """Files that should be left out."""
        return tuple(file for file in self.files if file.is_bad)

    @property
    def conflicting(self) -> tuple[tuple[str, ...], ...]:
        """Duplicates whose copies have different labels."""
        examples = _by_path(self.data)
        labels = {path: frozenset(label for e in found for label in e.labels) for path, found in examples.items()}
        return tuple(paths for paths in self.duplicates if len({labels[path] for path in paths}) > 1)

    @property
    def leaking(self) -> tuple[tuple[str, ...], ...]:
        """Duplicates whose copies are in different parts."""
        examples = _by_path(self.data)
        return tuple(p for p in self.duplicates if len({e.split for path in p for e in examples[path]}) > 1)

    def clean(self) -> DataSet:
        """The data set without bad files and copies.

        Of copies with the same labels one is kept, that in test before valid before train. Copies with different labels are
        all removed, because the right label is unknown.
        """
        examples = _by_path(self.data)
        removed = {file.path for file in self.bad}
        conflicting = set(self.conflicting)
        for paths in self.duplicates:
            kept = min(paths, key=lambda path: _KEPT_FIRST[examples[path][0].split])
            removed |= set(paths) - (set() if paths in conflicting else {kept})
        return self.data.with_examples(example for example in self.data.examples if example.path not in removed)

    def to_json(self) -> dict[str, object]:
        """A plain dictionary of the whole report."""
        infos = [file.info for file in self.files if file.info is not None]
        return {
            "name": self.data.name,
            "root": self.data.root,
            "ok": not (self.bad or self.faults),
            "num_examples": len(self.data),
            "num_files": len(self.files),
            "classes": self.data.counts(),
            "parts": {part: self.data.part(part).counts() for part in self.data.parts},
            "bad": [{"path": file.path, "status": file.status, "reason": file.reason} for file in self.bad],
            "duplicates": [list(paths) for paths in self.duplicates],
            "duplicates_across_parts": [list(paths) for paths in self.leaking],
            "duplicates_with_other_labels": [list(paths) for paths in self.conflicting],
            "near_duplicates": [{"path": p.path, "other": p.other, "distance": p.distance} for p in self.near],
            "torn_groups": list(self.torn),
            "rows_left_out": list(self.faults),
            **({} if self.located is None else {"located": asdict(self.located)}),
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
    faults: Iterable[DataError] = (),
    advance: Callable[[int], None] = lambda count: None,
) -> CheckReport:
    """Open every file, decode a few frames of it, and compare the files.

    Args:
        data: the data set.
        near: also search for similar files.
        full: decode every frame, to find damage in the middle of files.
        num_threads: number of files that are read at the same time.
        faults: rows that were left out when the data set was listed, see `open_data`.
        advance: called with the number of files done since the last call.
    """
    examples = _by_path(data)
    files: list[FileCheck] = []
    with ThreadPoolExecutor(max_workers=max(num_threads, 1)) as pool:
        for file in pool.map(
            lambda item: _check_file(*item, near=near, full=full, image_fps=data.image_fps), examples.items()
        ):
            files.append(file)
            advance(1)
    same_bytes: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        if file.sha256:
            same_bytes[file.sha256].append(file.path)
    copies = tuple(tuple(paths) for paths in same_bytes.values() if len(paths) > 1)
    torn = tuple(torn_groups(data)) if data.has_parts else ()
    return CheckReport(
        data, tuple(files), copies, _similar_files(files, examples) if near else (), torn,
        located=check_located(data, {file.path: file.info.duration_s for file in files if file.info}),
        faults=tuple(map(str, faults)),
    )  # fmt: skip


def spread(values: Iterable[float]) -> dict[str, float]:
    """Minimum, median and maximum of some numbers; empty for none."""
    found = sorted(values)
    if not found:
        return {}
    return {"min": round(found[0], 3), "median": round(float(np.median(found)), 3), "max": round(found[-1], 3)}


def _by_path(data: DataSet) -> dict[str, list[Example]]:
    examples: defaultdict[str, list[Example]] = defaultdict(list)
    for example in data.examples:
        examples[example.path].append(example)
    return dict(examples)


def _check_file(
    path: str, examples: list[Example], *, near: bool, full: bool, image_fps: float = IMAGE_FPS
) -> FileCheck:
    info, promised_s = None, 0.0
    try:
        with open_video(path, threads=1, image_fps=image_fps) as video:
            info, promised_s = video.info, video.promised_s
            perceptual_hash = hash_video(video)
            for _ in video.iterate(32) if full else ():
                pass  # decoding counts the damaged frames
            damage = " and ".join(filter(None, (cut_off(info, promised_s), video.damage)))
        sha256 = _digest(path)
    except EmptyVideo as error:
        return FileCheck(path, "empty", str(error))
    except (VideoError, OSError) as error:
        return FileCheck(path, "unreadable" if info is None else "damaged", str(error), info)
    if damage:
        return FileCheck(path, "damaged", f"{damage}: {path}: copy or export it again", info, sha256)
    late = [e.key for e in examples if e.span is not None and e.span.start_s >= info.duration_s]
    if late:
        return FileCheck(path, "span", f"{late[0]} begins after the end, at {info.duration_s:g} s", info, sha256)
    longer = [e.key for e in examples if e.span is not None and e.span.end_s > info.duration_s + _TOLERATED_S]
    if longer:
        return FileCheck(path, "span", f"{longer[0]} ends after the end, at {info.duration_s:g} s", info, sha256)
    return FileCheck(path, "ok", "", info, sha256, perceptual_hash if near else None)


def _digest(path: str) -> str:
    """SHA-256 of a file's bytes, or of those of all images in a folder."""
    paths = list_images(path) if os.path.isdir(path) else [path]
    digest = hashlib.sha256()
    for name in paths:
        with open(name, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _similar_files(files: list[FileCheck], examples: dict[str, list[Example]]) -> tuple[NearPair, ...]:
    """Similar files that are no exact copies, and that no group keeps in one part."""
    hashed = [(file, file.perceptual_hash) for file in files if file.perceptual_hash is not None]
    parts = [examples[file.path][0].split for file, _ in hashed]
    pairs = []
    for a, b, distance in similar_pairs([found for _, found in hashed], parts):
        file, other = hashed[a][0], hashed[b][0]
        first, second = examples[file.path][0], examples[other.path][0]
        together = first.split == second.split and first.group is not None and first.group == second.group
        if file.sha256 != other.sha256 and not together:
            pairs.append(NearPair(file.path, other.path, distance))
    return tuple(pairs)


def _common(values: Iterable[str]) -> dict[str, int]:
    """The number of times each value occurs, the most frequent first."""
    return dict(Counter(values).most_common())
