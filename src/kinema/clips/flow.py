"""Optical flow as channels of frames: what `InputSpec.modality` requires, whatever measures the flow.

The flow of frame i is its displacement to frame i + 1 of the file, at the file's own rate; the last frame repeats the
flow of the one before. Sampling is independent of it: each frame of a clip brings its flow along, whatever the stride.
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
    """The function that measures flow between two frames; RAFT's network is loaded once per process."""
    if method.startswith("raft"):
        from kinema.clips import raft

        return raft.shared(method)
    return flow.measure(method)


def check_flow(spec: InputSpec, requested: str | None = None) -> None:
    """Check that the flow a network needs can be computed, before any work is done.

    `requested` is the method that the user named; only the network's own is accepted.

    Raises:
        UsageError: the network learned from another method's flow, or from none.
        MissingExtra: a package is not installed.
    """
    if requested is not None and requested != spec.flow:
        learned = f"learned from {spec.flow} flow" if spec.has_flow else "sees RGB only"
        what = "flow of one method cannot replace that of another"
        raise UsageError(what, requested, f"leave --flow-method out: this network {learned}")
    if spec.has_flow:
        flow.check_method(spec.flow)


def with_channels(
    frames: Iterable[tuple[int, Frames]], num_frames: int, spec: InputSpec, wanted: set[int]
) -> Iterator[tuple[int, Frames]]:
    """Yield number and channels [h w c] of the `wanted` frames: u and v, or RGB with u and v.

    `frames` are number and RGB [h w 3] in ascending order, with all frames that `with_followers` names, of a video of
    `num_frames`. A wanted frame whose next frame is missing is left out.
    """
    for number, frame, field in flow.follow(frames, num_frames, measure(spec.flow), wanted):
        yield number, stack_channels(frame, field, spec)


def stack_channels(frames: Frames, fields: Frames, spec: InputSpec) -> Frames:
    """Channels [... c] of frames [... 3] and their flow [... 2]."""
    return fields if spec.modality == "flow" else np.concatenate([frames, fields], axis=-1)


def channels_at(
    numbers: NDArray[np.int64], num_frames: int, spec: InputSpec, read: Callable[[NDArray[np.int64]], Frames]
) -> Frames:
    """Channels [n h w c] of frames by number, in any order, of a video of `num_frames`; `read` gives their RGB [n h w 3]."""
    unique, places = np.unique(numbers, return_inverse=True)
    needed = flow.with_followers(unique, num_frames)
    pairs = zip(needed.tolist(), read(needed), strict=True)
    found = [pixels for _, pixels in with_channels(pairs, num_frames, spec, set(unique.tolist()))]
    return np.stack(found)[places]
