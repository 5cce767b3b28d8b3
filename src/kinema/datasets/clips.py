"""The examples of a data set as clips for a network: a torch `Dataset`.

A file that cannot be read gives a `Broken` example and is never replaced by another one, so that training and evaluation can
count it. All randomness depends on (seed, epoch, index) only: neither the number of workers nor resuming changes the clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from kinema.clips.flow import check_flow
from kinema.clips.sampling import plan_clips, plan_train_clip
from kinema.clips.transforms import Augment, decode_size, train_transform, view_transform
from kinema.datasets.cache import FrameCache
from kinema.datasets.dataset import DataSet
from kinema.datasets.flow_cache import FlowCache
from kinema.datasets.frames import FrameSource, OpenFrames, Pixels
from kinema.datasets.label_flips import LabelFlips
from kinema.errors import UsageError, VideoError
from kinema.types import InputSpec


@dataclass(frozen=True, slots=True)
class Views:
    """The views of an example in evaluation: clips x crops, and each of them mirrored too if `flips` is set."""

    num_clips: int = 1
    num_crops: int = 1
    flips: bool = False

    def __post_init__(self) -> None:
        if self.num_clips < 1:
            raise UsageError("evaluation needs at least one clip of each example", self.num_clips, "give 1 or more")

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
    """Rows of clips; a row is a view. A batch in which all examples are broken has no row.

    Args:
        clips: uint8 [b c t h w].
        targets: int64 [b], or multi-hot float32 [b classes].
        indices: int64 [b], the data set index of each row.
        broken: the examples of this batch that could not be read.
    """

    clips: Tensor
    targets: Tensor
    indices: Tensor
    broken: tuple[Broken, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def pin_memory(self) -> Batch:
        """A copy in page-locked memory, from which transfers to a GPU are fast; torch's loader calls it."""
        return Batch(self.clips.pin_memory(), self.targets.pin_memory(), self.indices.pin_memory(), self.broken)


class ClipArguments(TypedDict, total=False):
    """The keyword arguments of `ClipDataset`."""

    augment: Augment | None
    views: Views
    seed: int
    cache: FrameCache | None
    flow_cache: FlowCache | None
    label_flips: LabelFlips | None


class ClipDataset(Dataset[Sample | Broken]):
    """Clips of a data set's examples. Index it by `(epoch, index)`, or by an index alone for epoch 0.

    Args:
        data: the examples.
        spec: the input of the network.
        augment: random changes for training, which takes one random clip of each example; None for evaluation.
        views: the clips and crops of each example in evaluation.
        seed: seeds all randomness.
        cache: keeps decoded videos; useful for short videos and many epochs.
        flow_cache: keeps the optical flow of whole videos; None computes the flow of the requested frames each time.
        label_flips: the classes of mirrored training clips, and of clips played backwards; None mirrors clips without a
            change of class and plays none backwards.

    Raises:
        UsageError: views that the network cannot have.
        MissingExtra: a package for optical flow is missing.
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
        label_flips: LabelFlips | None = None,
    ) -> None:
        check_flow(spec)
        self.data, self.spec, self.views, self.seed = data, spec, views, seed
        self.augment, self._label_flips = augment, label_flips or LabelFlips()
        view_transform(spec, views.num_crops, views.flips)  # fail here and not in the workers
        if augment is not None:
            train_transform(augment, spec)  # load once what every worker would load
        self.frames = FrameSource(
            spec, decode_size(spec, augment is not None, augment), cache, flow_cache, data.image_fps
        )
        self._targets = [data.targets(example) for example in data.examples]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample | Broken:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        example = self.data.examples[index]
        rng = self.generator(epoch, index)
        try:
            with self.frames.open(example.path) as frames:
                clips, target = self.read_clips(frames, index, rng)
        except (VideoError, OSError) as error:
            return Broken(index, example.key, str(error))
        return self.make_sample(clips, target, index, rng)

    def read_clips(self, frames: OpenFrames, index: int, rng: np.random.Generator) -> tuple[Pixels, int | Tensor]:
        """The decoded frames [n t h w c] of an example's clips, and its target."""
        span, times_s = self.data.examples[index].span, frames.times_s
        end_s = frames.end_s(self.spec, span)
        if self.augment is None:
            plan = plan_clips(self.spec, times_s, self.views.num_clips, span, end_s)
        else:
            plan = plan_train_clip(self.spec, times_s, rng, span, self.augment.time_scale, end_s)[None]
        pixels = frames.at(plan.reshape(-1))
        return pixels.reshape(*plan.shape, *pixels.shape[1:]), self.target(index)

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """The random generator of an example."""
        return np.random.default_rng([self.seed, epoch, index])

    def target(self, index: int) -> int | Tensor:
        """The class index of an example, or its multi-hot row [classes]."""
        classes = self._targets[index]
        if not self.data.multi_label:
            return classes[0]
        hot = torch.zeros(len(self.data.labels))
        hot[list(classes)] = 1.0
        return hot

    def make_sample(self, clips: Pixels, target: int | Tensor, index: int, rng: np.random.Generator) -> Sample:
        """Augments, or makes the views of, the decoded frames [n t h w c] of an example's clips."""
        if self.augment is not None:
            clips, target = self._label_flips.maybe_backwards(clips, target, rng)
        tensors = [torch.from_numpy(frames).permute(0, 3, 1, 2) for frames in clips]
        # The transforms are made here and not kept: closures cannot be pickled for a spawned worker.
        augment = self.augment
        if augment is None:
            view = view_transform(self.spec, self.views.num_crops, self.views.flips)
            return Sample(torch.cat([view(frames) for frames in tensors]), target, index)
        if self._label_flips.mirror is not None:
            mirrored = bool(rng.random() < augment.flip)
            augment = replace(augment, flip=float(mirrored))
            target = self._label_flips.mirrored(target) if mirrored else target
        return Sample(train_transform(augment, self.spec)(tensors[0], rng)[None], target, index)


def collate(items: Sequence[Sample | Broken]) -> Batch:
    """Join examples to a batch: all views of the first, then of the second …; broken ones are listed separately."""
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
