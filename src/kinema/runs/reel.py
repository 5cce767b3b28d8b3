"""Joins labelled clips into long videos whose actions have exact times, to train and to judge what finds actions.

Each reel holds clips of one part. Groups are joined one after the other, so that clips of one source, which look alike, follow
each other where the data allows it. A clip is not followed by one of its own class if another one is left: without a cut nobody
can see a border between the two. Clips without actions come again where only clips of one action are left. All clips get one
size and one frame rate without a change of speed: a frame of the reel shows the frame of the clip at its time.

In a dissolve of n frames the last n frames of a clip blend into the first n of the next one. The border is in its middle.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, pairwise
from pathlib import Path

import numpy as np

from kinema import formats
from kinema.datasets.dataset import DataSet, first_few, path_within
from kinema.datasets.located import LocatedSet, LocatedVideo
from kinema.datasets.located_files import write_located
from kinema.datasets.splits import torn_groups
from kinema.errors import DataError, OutputError, UsageError
from kinema.files import check_folder, write_text
from kinema.labels import Labels
from kinema.predictions import Segment
from kinema.runs.options import ReelOptions, parse_size
from kinema.runs.progress import SILENT, Progress
from kinema.types import Example, TimeSpan
from kinema.video import open_video
from kinema.video.contract import Frame
from kinema.video.writer import VideoWriter

CLIPS = "clips.csv"
"""The file that tells which clip is where in a reel, and how long the dissolve before it is."""

_SAMPLE = 50


@dataclass(frozen=True, slots=True)
class Placed:
    """A clip in a reel: the stretch of it that is shown, in seconds, and the dissolve before it in frames."""

    example: Example
    times_s: tuple[float, float]
    dissolve: int


@dataclass(frozen=True, kw_only=True)
class ReelResult:
    """What was written."""

    folder: str
    located: LocatedSet
    num_clips: int
    fps: float
    size: tuple[int, int]

    def to_json(self) -> dict[str, object]:
        """A plain dictionary: folder, counts by part, actions by class, frame rate and size."""
        parts = {part: len(self.located.part(part)) for part in self.located.parts}
        return {
            "folder": self.folder, "videos": len(self.located), "parts": parts, "clips": self.num_clips,
            "actions": self.located.counts(), "fps": self.fps, "size": list(self.size),
            "videos_without_actions": sum(not video.segments for video in self.located.videos),
        }  # fmt: skip


def write_reels(data: DataSet, folder: str | Path, options: ReelOptions, progress: Progress = SILENT) -> ReelResult:
    """Write `FOLDER/videos/train_0001.mp4` …, `manifest.csv`, `activitynet.json` and `clips.csv`.

    Args:
        data: clips with labels and parts.
        folder: it must be empty or not exist.
        options: how clips are joined.
        progress: counts the clips that are done.

    Raises:
        DataError: a group is in two parts, no class is left as action, or a clip is about nothing.
        VideoError: a clip cannot be read.
        OutputError: the folder is not empty, or cannot be written.
    """
    folder = Path(folder)
    labels = _check(data, folder, options)
    size, fps = _common_format(data, options)
    rng = np.random.default_rng(options.reel_seed)
    videos: list[LocatedVideo] = []
    rows: list[list[str]] = []
    plans = {part: plan_reels(data.part(part), options, rng) for part in data.parts}
    with progress.count("joining clips", sum(len(clips) for plan in plans.values() for clips in plan)) as advance:
        for part, plan in plans.items():
            for number, clips in enumerate(plan, 1):
                path = folder / "videos" / f"{part}_{number:04d}.mp4"
                placed = _place(clips, data.image_fps, fps, options, rng)
                borders = write_reel(path, placed, size, fps, data.image_fps)
                spans = [TimeSpan(*edges) for edges in pairwise(borders)]
                videos.append(_truth(path, placed, spans, part, labels))
                rows += [_row(path, folder, one, span, data) for one, span in zip(placed, spans, strict=True)]
                advance(len(placed))
    located = LocatedSet(f"reels of {data.name}", str(folder), tuple(videos), labels)
    write_located(located, folder)
    header = ["video", "start", "end", "label", "dissolve_frames", "group", "clip", "clip_start", "clip_end"]
    write_text(folder / CLIPS, formats.table_csv(header, rows, exact=True))
    about = {"data": str(data.root), "options": asdict(options), "fps": fps, "size": list(size)}
    write_text(folder / "reel.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    return ReelResult(folder=str(folder), located=located, num_clips=len(rows), fps=fps, size=size)


def plan_reels(data: DataSet, options: ReelOptions, rng: np.random.Generator) -> list[list[Example]]:
    """Which clips form each reel of a part, in their order: group by group, neighbours of other classes where possible."""
    passive = {*options.background, *options.distractors}
    reels: list[list[Example]] = []
    for _ in range(options.repeat):
        groups: dict[str, list[Example]] = {}
        for index in rng.permutation(len(data)):
            example = data.examples[index]
            groups.setdefault(example.group or "", []).append(example)
        idle = [e for clips in groups.values() for e in clips if passive.issuperset(e.labels)]
        kept_apart = {e.key for e in idle[: round(len(idle) * options.empty_share)]}
        clips = [
            e for group in groups.values() for e in _alternate([e for e in group if e.key not in kept_apart], passive)
        ]
        for chosen in (clips, [e for e in idle if e.key in kept_apart]):
            first = 0
            while first < len(chosen):
                last = first + int(rng.integers(options.clips_per_video[0], options.clips_per_video[1] + 1))
                reels.append(chosen[first:last])
                first = last
    return reels


def _alternate(clips: Sequence[Example], passive: set[str]) -> list[Example]:
    """An order in which clips of one class rarely follow each other: always the class that has the most clips left.

    Classes without actions count as one. Among clips of one class the given order stays. If clips of one action are left over,
    clips without actions are shown again between them: two neighbours of one class could not be told apart.
    """
    left: dict[tuple[str, ...], list[Example]] = {}
    for clip in clips:
        left.setdefault(() if passive.issuperset(clip.labels) else clip.labels, []).append(clip)
    ordered: list[Example] = []
    again = cycle(left.get((), [])[:])
    before: tuple[str, ...] | None = None
    while left:
        others = [kind for kind in left if kind != before]
        if not others and before and (between := next(again, None)):
            ordered.append(between)
        before = max(others or left, key=lambda kind: len(left[kind]))
        ordered.append(left[before].pop(0))
        if not left[before]:
            del left[before]
    return ordered


def write_reel(
    path: Path, clips: Sequence[Placed], size: tuple[int, int], fps: float, image_fps: float = 25.0
) -> list[float]:
    """Write one reel; returns the borders of its clips in seconds, the beginning and the end included."""
    borders, count, tail = [0.0], 0, np.empty((0, *size, 3), np.uint8)
    with VideoWriter(path, fps, size) as writer:
        for number, clip in enumerate(clips):
            frames = _frames(clip, size, fps, image_fps)
            blend = min(clip.dissolve, len(frames), len(tail))
            # Frames that a dissolve does not need are shown as they are.
            for frame in tail[: len(tail) - blend]:
                writer.write(frame)
            count += len(tail) - blend
            if number:
                borders.append((count + blend / 2) / fps)
            share = (np.arange(blend) + 0.5)[:, None, None, None] / max(blend, 1)
            mixed = tail[len(tail) - blend :] * (1 - share) + frames[:blend] * share
            tail = np.concatenate([np.rint(mixed).astype(np.uint8), frames[blend:]])
        for frame in tail:
            writer.write(frame)
    return [*borders, (count + len(tail)) / fps]


def _frames(clip: Placed, size: tuple[int, int], fps: float, image_fps: float) -> Frame:
    """The frames [t h w c] of a clip at the reel's rate and size, with black borders if its shape is another one."""
    start_s, end_s = clip.times_s
    times_s = start_s + np.arange(max(round((end_s - start_s) * fps), 1)) / fps
    with open_video(clip.example.path, image_fps=image_fps) as video:
        height, width = video.info.height, video.info.width
        scale = min(size[0] / height, size[1] / width)
        inner = (min(max(round(height * scale), 1), size[0]), min(max(round(width * scale), 1), size[1]))
        frames = video.frames_at_times(np.minimum(times_s, video.info.duration_s - 1e-6), inner)
    before = [(total - own) // 2 for total, own in zip(size, inner, strict=True)]
    pads = [(first, total - own - first) for first, total, own in zip(before, size, inner, strict=True)]
    return np.pad(frames, ((0, 0), *pads, (0, 0)))


def _place(
    clips: Sequence[Example], image_fps: float, fps: float, options: ReelOptions, rng: np.random.Generator
) -> list[Placed]:
    """Draw the stretch of each clip and the dissolve before it. A dissolve takes at most a third of each clip."""
    placed: list[Placed] = []
    before_s = 0.0
    for clip in clips:
        start_s, end_s = _whole(clip, image_fps)
        kept_s = (end_s - start_s) * float(rng.uniform(options.trim, 1.0))
        start_s += (end_s - start_s - kept_s) * float(rng.random())
        wanted = int(rng.integers(options.dissolve[0], options.dissolve[1] + 1))
        blend = min(wanted, int(before_s * fps / 3), int(kept_s * fps / 3))
        placed.append(Placed(clip, (start_s, start_s + kept_s), blend))
        before_s = kept_s
    return placed


def _whole(clip: Example, image_fps: float) -> tuple[float, float]:
    with open_video(clip.path, threads=1, image_fps=image_fps) as video:
        span = clip.span or TimeSpan(float(video.times_s[0]), video.info.duration_s)
        return span.start_s, min(span.end_s, video.info.duration_s)


def _truth(path: Path, clips: Sequence[Placed], spans: Sequence[TimeSpan], part: str, labels: Labels) -> LocatedVideo:
    actions = [
        Segment(span, label, 1.0)
        for clip, span in zip(clips, spans, strict=True)
        for label in clip.example.labels
        if label in labels
    ]
    groups = sorted({clip.example.group for clip in clips if clip.example.group})
    return LocatedVideo(str(path), tuple(actions), part, "+".join(groups) or None)


def _row(path: Path, folder: Path, clip: Placed, span: TimeSpan, data: DataSet) -> list[str]:
    example = clip.example
    source, name = path_within(example.path, data.root), str(path.relative_to(folder))
    times = [repr(round(time, 6)) for time in (span.start_s, span.end_s, *clip.times_s)]
    return [name, *times[:2], ";".join(example.labels), str(clip.dissolve), example.group or "", source, *times[2:]]


def _check(data: DataSet, folder: Path, options: ReelOptions) -> Labels:
    """The classes that are actions, if the data and the folder can be used."""
    check_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        raise OutputError("the folder is not empty", folder, "give another --out")
    passive = {*options.background, *options.distractors}
    for name in passive:
        data.labels.index(name)
    actions = Labels(tuple(label for label in data.labels if label not in passive))
    if not actions:
        raise UsageError("no class is left as action", ", ".join(sorted(passive)), "name fewer in --background")
    bare = [example.key for example in data.examples if not example.labels]
    if bare:
        raise DataError(f"{len(bare)} clips have no label", first_few(bare), "give them a class for --background")
    if not data.has_parts:
        raise DataError("the clips have no parts", data.root, "divide them first, see kinema.split_data")
    if torn := torn_groups(data):
        do = "give --split groups, or move the clips of a group into one part"
        raise DataError(f"{len(torn)} groups or files are in two parts", f"{data.root}, {first_few(torn)}", do)
    return actions


def _common_format(data: DataSet, options: ReelOptions) -> tuple[tuple[int, int], float]:
    """Height and width, even numbers as H.264 wants them, and the frame rate: as given, else the most common of a sample."""
    sizes: Counter[tuple[int, int]] = Counter()
    rates: Counter[float] = Counter()
    for example in data.examples[:: max(len(data) // _SAMPLE, 1)]:
        with open_video(example.path, threads=1, image_fps=data.image_fps) as video:
            sizes[video.info.height, video.info.width] += 1
            rates[round(video.info.fps, 3)] += 1
    height, width = parse_size(options.size) if options.size else sizes.most_common(1)[0][0]
    return (height + height % 2, width + width % 2), options.fps or rates.most_common(1)[0][0]
