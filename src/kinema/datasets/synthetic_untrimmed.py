"""Synthetic untrimmed videos: motions as actions between distractors, with exact times.

Over one background, an object appears and moves for a while; then another one follows. Motions of the task are actions. Between
them lie distractors: motions outside the task, an object that stands still, noise, or nothing. The content is a function of time
alone, so the same seed gives the same content at every frame rate; a frame shows the content at its own time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.located import LocatedSet, LocatedVideo
from kinema.datasets.located_files import write_located
from kinema.errors import OutputError, UnknownName
from kinema.labels import Labels
from kinema.predictions import Segment
from kinema.types import TimeSpan
from kinema.video.synthetic import MOTIONS, Clip, draw_background, draw_motion
from kinema.video.writer import VideoWriter

_LAP_S = 2.0
"""Seconds of a motion through 0.6 to 0.95 of its range, as in the clips of `write_motion_set`."""
_NOISE_HZ = 10.0
_VARIABLE_FPS = (10.0, 30.0)
_STILL, _NOISE, _NOTHING = "still", "noise", "nothing"


@dataclass(frozen=True, kw_only=True, slots=True)
class UntrimmedOptions:
    """What untrimmed videos show.

    Args:
        labels: the motions that are actions.
        distractors: the motions that are none.
        length_s: shortest and longest video in seconds.
        action_s: shortest and longest action.
        gap_s: shortest and longest distractor between actions.
        empty_share: share of the videos of each part that have no action; at least one, unless it is 0.
        overlap: whether half of the actions are joined by a second object with another action, which begins in their course.
        fps: frames a second, or "variable": distances between those of 10 and 30 frames a second, drawn at random.
        size: height and width in pixels.
    """

    labels: Sequence[str] = MOTIONS[:4]
    distractors: Sequence[str] = MOTIONS[4:]
    length_s: tuple[float, float] = (20.0, 30.0)
    action_s: tuple[float, float] = (1.5, 4.0)
    gap_s: tuple[float, float] = (1.0, 4.0)
    empty_share: float = 0.1
    overlap: bool = False
    fps: float | Literal["variable"] = 10.0
    size: tuple[int, int] = (48, 48)

    def __post_init__(self) -> None:
        for name in (*self.labels, *self.distractors):
            if name not in MOTIONS:
                raise UnknownName("motion", name, MOTIONS)
        if not 0 <= self.empty_share <= 1:
            raise ValueError(f"a share lies between 0 and 1, got {self.empty_share=}")
        for name in ("length_s", "action_s", "gap_s"):
            shortest, longest = getattr(self, name)
            if not 0 < shortest <= longest:
                raise ValueError(f"{name} needs 0 < shortest <= longest, got {(shortest, longest)}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a video that shows one thing: a motion, "still", "noise" or "nothing"; `seed` draws the rest."""

    span: TimeSpan
    shows: str
    seed: int


def write_untrimmed_set(
    root: str | os.PathLike[str],
    num_train: int = 40,
    num_valid: int = 10,
    num_test: int = 0,
    seed: int = 0,
    options: UntrimmedOptions = UntrimmedOptions(),
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> LocatedSet:
    """Write `ROOT/train_0001.mp4` … with their truth as `manifest.csv` and `activitynet.json`; `open_located(ROOT)` reads it.

    Args:
        root: the folder; it must be empty or not exist.
        num_train: videos of the training part.
        num_valid: of the validation part.
        num_test: of the test part.
        seed: the same seed draws the same videos; with other `fps` the same content.
        options: what the videos show.
        advance: called with the number of videos written since the last call.

    Raises:
        OutputError: the folder is not empty, or cannot be written.
    """
    root = Path(root)
    if root.exists() and any(root.iterdir()):
        raise OutputError("the folder is not empty", root, "give a new one")
    videos = []
    for part_index, (part, count) in enumerate((("train", num_train), ("valid", num_valid), ("test", num_test))):
        num_empty = min(max(round(count * options.empty_share), 1), count) if options.empty_share else 0
        for number in range(1, count + 1):
            path, seeds = root / f"{part}_{number:04d}.mp4", [seed, part_index, number]
            # Empty videos are spread over the part, so that the first few videos are no special ones.
            is_empty = number * num_empty // count > (number - 1) * num_empty // count
            pieces = plan_video(np.random.default_rng(seeds), options, is_empty=is_empty)
            write_pieces(path, pieces, np.random.default_rng([*seeds, 1]), options)
            actions = [Segment(piece.span, piece.shows, 1.0) for piece in pieces if piece.shows in options.labels]
            videos.append(LocatedVideo(str(path), tuple(sorted(actions, key=lambda one: one.span)), part))
            advance(1)
    located = LocatedSet(root.name, str(root), tuple(videos), Labels.of(options.labels))
    write_located(located, root)
    return located


def plan_video(rng: np.random.Generator, options: UntrimmedOptions, *, is_empty: bool = False) -> list[Piece]:
    """Draw what happens when. Without overlap the pieces follow each other; an overlapping one follows the one it overlaps."""
    length_s, time_s = float(rng.uniform(*options.length_s)), 0.0
    pieces: list[Piece] = []
    while time_s < length_s:
        is_action = bool(pieces) and pieces[-1].shows not in options.labels
        end_s = time_s + float(rng.uniform(*(options.action_s if is_action else options.gap_s)))
        if end_s + options.gap_s[0] > length_s:
            is_action, end_s = False, length_s
        shows = _draw_kind(rng, options, is_action and not is_empty)
        pieces.append(_piece(rng, time_s, end_s, shows))
        if options.overlap and shows in options.labels and len(options.labels) > 1 and rng.random() < 0.5:
            other = str(rng.choice([label for label in options.labels if label != shows]))
            start_s = time_s + float(rng.uniform(0.2, 0.6)) * (end_s - time_s)
            pieces.insert(-1, _piece(rng, start_s, min(end_s + options.gap_s[0] / 2, length_s), other))
        time_s = end_s
    return pieces


def _draw_kind(rng: np.random.Generator, options: UntrimmedOptions, is_action: bool) -> str:
    return str(rng.choice(list(options.labels) if is_action else [*options.distractors, _STILL, _NOISE, _NOTHING]))


def _piece(rng: np.random.Generator, start_s: float, end_s: float, shows: str) -> Piece:
    return Piece(TimeSpan(round(start_s, 3), round(end_s, 3)), shows, int(rng.integers(1 << 31)))


def write_pieces(path: Path, pieces: Sequence[Piece], rng: np.random.Generator, options: UntrimmedOptions) -> None:
    """Draw a video and write it."""
    end_s = max(piece.span.end_s for piece in pieces)
    times_s = _frame_times(rng, options, end_s)
    background = draw_background(np.random.default_rng(pieces[0].seed), options.size)
    is_variable = options.fps == "variable"
    ends_s = [*times_s[1:], end_s]
    with VideoWriter(path, 30.0 if is_variable else float(options.fps), options.size, uneven=is_variable) as writer:
        for frame, start_s, stop_s in zip(
            _frames(pieces, times_s, background, options.size), times_s, ends_s, strict=True
        ):
            writer.write(frame, (float(start_s), float(stop_s)) if is_variable else None)


def _frame_times(rng: np.random.Generator, options: UntrimmedOptions, end_s: float) -> NDArray[np.float64]:
    if options.fps != "variable":
        return np.arange(max(round(end_s * options.fps), 1)) / options.fps
    slow, fast = _VARIABLE_FPS
    times_s = np.cumsum(rng.uniform(1 / fast, 1 / slow, int(end_s * fast) + 1))
    times_s -= times_s[0]
    return times_s[times_s < end_s - 1 / fast]


def _frames(
    pieces: Sequence[Piece], times_s: NDArray[np.float64], background: NDArray[np.float32], size: tuple[int, int]
) -> Iterator[Clip]:
    """All frames in order. A stretch between two borders of pieces is drawn at once, its objects one over the other."""
    borders_s = sorted({border for piece in pieces for border in (piece.span.start_s, piece.span.end_s)})
    for start_s, end_s in pairwise(borders_s):
        inside = times_s[(times_s >= start_s) & (times_s < end_s)]
        if not len(inside):
            continue
        frames = np.array(np.broadcast_to(background, (len(inside), *size, 3)), np.uint8, order="C")
        for piece in pieces:
            if piece.span.start_s <= start_s and end_s <= piece.span.end_s:
                frames = _draw(piece, inside - piece.span.start_s, frames, size)
        yield from frames


def _draw(piece: Piece, times_s: NDArray[np.float64], frames: Clip, size: tuple[int, int]) -> Clip:
    """Draw a piece over frames [t h w c], at times since its start."""
    if piece.shows == _NOTHING:
        return frames
    if piece.shows == _NOISE:
        slots = (times_s * _NOISE_HZ).astype(int)
        drawn = {
            slot: np.random.default_rng([piece.seed, slot]).integers(0, 255, (*size, 3), np.uint8)
            for slot in set(slots)
        }
        return np.stack([frames[index] // 2 + drawn[slot] // 2 for index, slot in enumerate(slots)])
    is_still = piece.shows == _STILL
    shares = np.zeros(len(times_s)) if is_still else times_s / piece.span.duration_s
    return draw_motion(
        MOTIONS[0] if is_still else piece.shows, np.random.default_rng(piece.seed), size=size,
        laps=piece.span.duration_s / _LAP_S, shares=shares.astype(np.float32), background=frames.astype(np.float32),
    )  # fmt: skip
