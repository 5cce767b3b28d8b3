"""Cached features of examples, computed by a frozen network: the training data where features are kept.

View 0 of an example is the one of evaluation. Views 1, 2 … are augmented; each is drawn once, by the seed, the number of the
view and the example's own name, so that it does not depend on how the data is divided. An epoch draws one view of each example.
`clips` gives the pixels of a view, to compute its features.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from kinema.datasets.clips import Broken, ClipDataset, Sample
from kinema.datasets.feature_cache import FeatureCache, is_kept, read_features
from kinema.errors import UnreadableVideo
from kinema.types import IMAGE_FPS

Job = tuple[int, int]
"""(view, index of the example)"""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSample:
    """One example: features float32 [v n f], its target (class index, or multi-hot float32 [classes]), its index."""

    features: Tensor
    target: int | Tensor
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBatch:
    """Rows of features; a row is a view. A batch in which all examples are broken has no row.

    Args:
        features: float32 [b n f]; shorter rows are padded with zeros.
        targets: int64 [b], or multi-hot float32 [b classes].
        indices: int64 [b], the data set index of each row.
        lengths: int64 [b], the number of vectors without padding; None if no row is padded.
        broken: the examples of this batch that could not be read.
    """

    features: Tensor
    targets: Tensor
    indices: Tensor
    lengths: Tensor | None = None
    broken: tuple[Broken, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def pin_memory(self) -> FeatureBatch:
        """A copy in page-locked memory, from which transfers to a GPU are fast; torch's loader calls it."""
        features, targets, indices = self.features.pin_memory(), self.targets.pin_memory(), self.indices.pin_memory()
        return FeatureBatch(features, targets, indices, self.lengths, self.broken)


class FeatureDataset(Dataset[FeatureSample | Broken]):
    """Cached features of a data set's examples. Index it by `(epoch, index)`, or by an index alone for epoch 0.

    Args:
        clips: the examples as in evaluation; several views of an example are several rows.
        cache: the cache of the features.
        drawn: the examples as in training, for further views; None if there is only view 0.
        num_views: views of each example, including the first one.

    Attributes:
        broken: reasons why examples could not be read, by index; filled by the code that fills the cache.
    """

    def __init__(
        self, clips: ClipDataset, cache: FeatureCache, *, drawn: DrawnViews | None = None, num_views: int = 1
    ) -> None:
        self.data, self.cache, self.num_views = clips.data, cache, num_views if drawn else 1
        self._clips, self._drawn = clips, drawn
        self.broken: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: int | tuple[int, int]) -> FeatureSample | Broken:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if index in self.broken:
            return self._as_broken(index)
        view = int(np.random.default_rng([self._clips.seed, epoch, index]).integers(self.num_views))
        try:
            features = torch.from_numpy(np.array(read_features(self.place((view, index))), dtype=np.float32))
        except (UnreadableVideo, OSError, ValueError, EOFError) as error:
            self.broken[index] = f"its cached features cannot be read: {error}"
            return self._as_broken(index)
        return FeatureSample(features, self._clips.target(index), index)

    def _as_broken(self, index: int) -> Broken:
        return Broken(index, self.data.examples[index].key, self.broken[index])

    def jobs(self) -> list[Job]:
        """Every view of every example."""
        return [(view, index) for index in range(len(self)) for view in range(self.num_views)]

    def place(self, job: Job) -> Path:
        """The file of a view's features, whether it exists or not.

        Raises:
            UnreadableVideo: there is no such video.
        """
        view, index = job
        name = f"{self._clips.views}" if view == 0 or self._drawn is None else self._drawn.name(view)
        if self.data.image_fps != IMAGE_FPS:
            name += f", pictures at {self.data.image_fps:g} a second"
        return self.cache.place(self.data.examples[index], name)

    def is_missing(self, job: Job) -> bool:
        """Whether the features of a view have to be computed; true for a missing video, which is then reported as broken."""
        try:
            return not is_kept(self.place(job))
        except UnreadableVideo:
            return True

    def clips(self, job: Job) -> Sample | Broken:
        """The pixels of a view."""
        view, index = job
        return self._clips[index] if view == 0 or self._drawn is None else self._drawn[(view, index)]


class DrawnViews(ClipDataset):
    """Augmented clips of examples, whose randomness depends on the example's name and not on its index."""

    def name(self, view: int) -> str:
        """Describes everything that the pixels of a view depend on, apart from the example and the input."""
        return f"view {view} of {self.augment}, seed {self.seed}"

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """Seeded by the seed, the view (in place of an epoch) and the video's path and span."""
        name = os.path.abspath(self.data.examples[index].key)
        return np.random.default_rng([self.seed, epoch, zlib.crc32(name.encode())])


class JobDataset(Dataset[tuple[Job, Sample | Broken]]):
    """Pixels of the views whose features have to be computed, for the workers of a loader."""

    def __init__(self, data: FeatureDataset, jobs: Sequence[Job]) -> None:
        self.data, self.jobs = data, list(jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, place: int) -> tuple[Job, Sample | Broken]:
        return self.jobs[place], self.data.clips(self.jobs[place])


def collate_features(items: Sequence[FeatureSample | Broken]) -> FeatureBatch:
    """Join examples to a batch: all views of the first, then of the second …; short rows are padded, broken ones listed apart."""
    samples = [item for item in items if isinstance(item, FeatureSample)]
    broken = tuple(item for item in items if isinstance(item, Broken))
    if not samples:
        nothing = torch.empty(0, dtype=torch.int64)
        return FeatureBatch(torch.empty((0, 0, 0)), nothing, nothing, None, broken)
    rows = [row for sample in samples for row in sample.features]
    lengths = torch.tensor([len(row) for row in rows])
    counts = torch.tensor([len(sample.features) for sample in samples])
    targets = torch.stack([torch.as_tensor(sample.target) for sample in samples])
    return FeatureBatch(
        features=pad_sequence(rows, batch_first=True),
        targets=targets.repeat_interleave(counts, dim=0),
        indices=torch.tensor([sample.index for sample in samples]).repeat_interleave(counts),
        lengths=None if bool((lengths == lengths[0]).all()) else lengths,
        broken=broken,
    )
