"""Frames with their optical flow as channels: what `InputSpec.modality` asks for, whoever measures the flow.

The flow of frame i is its displacement to frame i + 1 of the file, at the file's own rate; the last frame repeats the
one before. Sampling does not know of it: whichever frames a clip takes, each brings its flow along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import UsageError
from kinema.video import flow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.types import InputSpec

    Frames = NDArray[np.uint8]


def measure(method: str) -> flow.Measure:
    """The function that measures flow between two frames; RAFT's network is loaded once a process."""
    if method.startswith("raft"):
        from kinema.clips import raft

        return raft.shared(method)
    return flow.measure(method)


def check_flow(spec: InputSpec, asked: str | None = None) -> None:
    """Make sure that the flow a network wants can be computed, before any work is done.

    Args:
        spec: of the network.
        asked: the method that a user wants; nothing but the network's own will do.

    Raises:
        UsageError: it learned from another method's flow, or sees none.
        MissingExtra: a package is not there.
    """
    if asked is not None and asked != spec.flow:
        learned = f"learned from {spec.flow} flow" if spec.has_flow else "sees RGB only"
        raise UsageError("flow of one method is no substitute for another's", asked, f"this network {learned}")
    if spec.has_flow:
        flow.check_method(spec.flow)


def with_channels(
    frames: Iterable[tuple[int, Frames]], num_frames: int, spec: InputSpec, wanted: set[int]
) -> Iterator[tuple[int, Frames]]:
    """Frames as the network's channels: number and pixels [h w c], c being u and v, or RGB with them.

    Args:
        frames: number and RGB [h w 3] in ascending order; what `with_followers` says must be among them.
        num_frames: of the whole film.
        spec: modality and method.
        wanted: which of them are asked for. One whose next frame is missing is left out.
    """
    for number, frame, found in flow.follow(frames, num_frames, measure(spec.flow), wanted):
        yield number, joined(frame, found, spec)


def joined(frames: Frames, found: Frames, spec: InputSpec) -> Frames:
    """Channels [... c] of frames [... 3] and their flow [... 2]."""
    return found if spec.modality == "flow" else np.concatenate([frames, found], axis=-1)


def channels_at(
    numbers: NDArray[np.int64], num_frames: int, spec: InputSpec, read: Callable[[NDArray[np.int64]], Frames]
) -> Frames:
    """Channels [n h w c] of frames by number, in any order.

    Args:
        numbers: of the frames.
        num_frames: of the whole film.
        spec: modality and method.
        read: gives frames [n h w 3] by number.
    """
    unique, places = np.unique(numbers, return_inverse=True)
    needed = flow.with_followers(unique, num_frames)
    pairs = zip(needed.tolist(), read(needed), strict=True)
    found = [pixels for _, pixels in with_channels(pairs, num_frames, spec, set(unique.tolist()))]
    return np.stack(found)[places]
