"""Examples as clips for a network: torch's side of a data set.

A file that cannot be read comes out as `Broken`, never as another example in its place: who trains or evaluates counts
it. What is drawn at random depends on (seed, epoch, index) alone, so that neither the number of workers nor a resumed
run changes what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from kinema.clips.flow import check_flow
from kinema.clips.sampling import plan_clips, plan_train_clip
from kinema.clips.transforms import Augment, decode_size, train_transform, view_transform
from kinema.datasets.cache import FrameCache
from kinema.datasets.dataset import DataSet
from kinema.datasets.flow_cache import FlowCache
from kinema.datasets.frames import FrameSource, OpenFrames
from kinema.datasets.label_flips import Turns
from kinema.errors import UsageError, VideoError
from kinema.types import Example, InputSpec
from kinema.video import open_video

_PROBED = 50


@dataclass(frozen=True, slots=True)
class Views:
    """What evaluation sees of an example: clips x crops, each also flipped where `flips` is set."""

    num_clips: int = 1
    num_crops: int = 1
    flips: bool = False

    def __post_init__(self) -> None:
        if self.num_clips < 1:
            raise UsageError("an example is seen in at least one clip", self.num_clips, "give 1 or more")

    def __len__(self) -> int:
        return self.num_clips * self.num_crops * (2 if self.flips else 1)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One example: clips uint8 [v c t h w], its target (class index, or multi-hot float32 [classes]), its index."""

    clips: Tensor
    target: int | Tensor
    index: int


@dataclass(frozen=True, slots=True)
class Broken:
    """An example that could not be read, and why."""

    index: int
    key: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of clips; a row is a view. A batch of broken examples only has no row.

    Args:
        clips: uint8 [b c t h w].
        targets: int64 [b], or multi-hot float32 [b classes].
        indices: int64 [b], the data set index of each row.
        broken: examples of this batch that could not be read.
    """

    clips: Tensor
    targets: Tensor
    indices: Tensor
    broken: tuple[Broken, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def pin_memory(self) -> Batch:
        """The same in memory that a GPU copies from quickly; torch's loader calls it."""
        return Batch(self.clips.pin_memory(), self.targets.pin_memory(), self.indices.pin_memory(), self.broken)


class ClipArguments(TypedDict, total=False):
    """The keyword arguments of `ClipDataset`, for its subclasses."""

    augment: Augment | None
    views: Views
    seed: int
    cache: FrameCache | None
    flow_cache: FlowCache | None
    turns: Turns | None


class ClipDataset(Dataset[Sample | Broken]):
    """Clips of a data set's examples.

    Indexed by `(epoch, index)`, or by an index alone for epoch 0.

    Args:
        data: the examples.
        spec: how the network wants to be fed.
        augment: random changes for training, which takes one random clip an example; None is for evaluation.
        views: for evaluation, the clips and crops of each example.
        seed: start of what is drawn at random.
        cache: keeps decoded videos; worth it where they are short and seen for many epochs.
        flow_cache: keeps the optical flow of whole videos; without it that of the frames seen is computed each time.
        turns: what classes turn into in mirrored training clips, and in those played backwards, which half then are; None mirrors
            without a change of class, and plays all forwards.

    Raises:
        UsageError: views that the network cannot have.
        MissingExtra: a package for optical flow is not there.
    """

    def __init__(
        self,
        data: DataSet,
        spec: InputSpec,
        *,
        augment: Augment | None = None,
        views: Views = Views(),
        seed: int = 0,
        cache: FrameCache | None = None,
        flow_cache: FlowCache | None = None,
        turns: Turns | None = None,
    ) -> None:
        check_flow(spec)
        self.data, self.spec, self.views, self.seed = data, spec, views, seed
        self._augment, self._turns = augment, turns or Turns()
        view_transform(spec, views.num_crops, views.flips)  # raises now what workers would raise later
        if augment is not None:
            train_transform(augment, spec)  # loads now, once, what every worker would load
        self._frames = FrameSource(spec, decode_size(spec, augment is not None, augment), cache, flow_cache)
        self._targets = [data.targets(example) for example in data.examples]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample | Broken:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        example = self.data.examples[index]
        rng = self.generator(epoch, index)
        try:
            with self._frames.open(example.path) as frames:
                plan = self._plan(example, frames, rng)
                pixels = frames.at(plan.reshape(-1))
        except (VideoError, OSError) as error:
            return Broken(index, example.key, str(error))
        return self._sample(pixels.reshape(*plan.shape, *pixels.shape[1:]), self.target(index), index, rng)

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """Where the random changes of an example come from."""
        return np.random.default_rng([self.seed, epoch, index])

    def target(self, index: int) -> int | Tensor:
        """The class index of an example, or its multi-hot row [classes]."""
        classes = self._targets[index]
        if not self.data.multi_label:
            return classes[0]
        hot = torch.zeros(len(self.data.labels))
        hot[list(classes)] = 1.0
        return hot

    def _plan(self, example: Example, frames: OpenFrames, rng: np.random.Generator) -> NDArray[np.int64]:
        """Frame numbers [n t] of the clips."""
        times_s, span, end_s = frames.times_s, example.span, frames.end_s(self.spec, example.span)
        if self._augment is not None:
            return plan_train_clip(self.spec, times_s, rng, span, self._augment.time_scale, end_s)[None]
        return plan_clips(self.spec, times_s, self.views.num_clips, span, end_s)

    def _sample(self, clips: NDArray[np.uint8], target: int | Tensor, index: int, rng: np.random.Generator) -> Sample:
        """An example as the network sees it, from the decoded frames of its clips [n t h w c]."""
        if self._augment is not None:
            clips, target = self._turns.maybe_backwards(clips, target, rng)
        tensors = [torch.from_numpy(frames).permute(0, 3, 1, 2) for frames in clips]
        # Made here and not kept: functions inside functions cannot be sent to a worker that is spawned.
        augment = self._augment
        if augment is None:
            view = view_transform(self.spec, self.views.num_crops, self.views.flips)
            return Sample(torch.cat([view(frames) for frames in tensors]), target, index)
        if self._turns.mirror is not None:
            mirrored = bool(rng.random() < augment.flip)
            augment = replace(augment, flip=float(mirrored))
            target = self._turns.mirrored(target) if mirrored else target
        return Sample(train_transform(augment, self.spec)(tensors[0], rng)[None], target, index)


def collate(items: Sequence[Sample | Broken]) -> Batch:
    """Join examples: all views of the first, then all of the second …; those that are broken are listed apart."""
    samples = [item for item in items if isinstance(item, Sample)]
    broken = tuple(item for item in items if isinstance(item, Broken))
    if not samples:
        nothing = torch.empty(0, dtype=torch.int64)
        return Batch(torch.empty((0, 0, 0, 0, 0), dtype=torch.uint8), nothing, nothing, broken)
    counts = torch.tensor([len(sample.clips) for sample in samples])
    targets = torch.stack([torch.as_tensor(sample.target) for sample in samples])
    return Batch(
        clips=torch.cat([sample.clips for sample in samples]),
        targets=targets.repeat_interleave(counts, dim=0),
        indices=torch.tensor([sample.index for sample in samples]).repeat_interleave(counts),
        broken=broken,
    )


def typical_duration_s(data: DataSet) -> float | None:
    """The median length of the examples in seconds, measured on up to fifty of them; None where none can be read."""
    step = max(len(data) // _PROBED, 1)
    found = [length for example in data.examples[::step] if (length := _duration_s(example)) is not None]
    return float(np.median(found)) if found else None


def _duration_s(example: Example) -> float | None:
    if example.span is not None:
        return example.span.duration_s
    try:
        with open_video(example.path, threads=1) as video:
            return video.info.duration_s
    except VideoError:
        return None  # whoever reads the example reports it
