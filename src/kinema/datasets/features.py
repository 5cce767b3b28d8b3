"""Examples as features that a frozen network made of them: what training reads where features are kept.

View 0 of an example is what evaluation sees of it. Views 1, 2 … are drawn with the augmentation, each once: by the seed, the
number of the view and the example's own name, so that they do not depend on how the data is divided. An epoch draws
one of the views for each example. `clips` gives the pixels of a view for whoever computes its features.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from kinema.datasets.clips import Broken, ClipArguments, ClipDataset, Sample
from kinema.datasets.dataset import DataSet
from kinema.datasets.feature_cache import FeatureCache, is_kept, read_features
from kinema.errors import UnreadableVideo
from kinema.types import InputSpec

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
    """Rows of features; a row is a view. A batch of broken examples only has no row.

    Args:
        features: float32 [b n f]; shorter rows end in zeros.
        targets: int64 [b], or multi-hot float32 [b classes].
        indices: int64 [b], the data set index of each row.
        lengths: int64 [b], how many of the n vectors count; None where all do.
        broken: examples of this batch that could not be read.
    """

    features: Tensor
    targets: Tensor
    indices: Tensor
    lengths: Tensor | None = None
    broken: tuple[Broken, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def pin_memory(self) -> FeatureBatch:
        """The same in memory that a GPU copies from quickly; torch's loader calls it."""
        features, targets, indices = self.features.pin_memory(), self.targets.pin_memory(), self.indices.pin_memory()
        return FeatureBatch(features, targets, indices, self.lengths, self.broken)


class FeatureDataset(Dataset[FeatureSample | Broken]):
    """Kept features of a data set's examples. Indexed by `(epoch, index)`, or by an index alone for epoch 0.

    Args:
        clips: the examples as evaluation sees them; several views of each are several rows.
        cache: where features are kept.
        drawn: the examples as training draws them, for further views; None where there is view 0 only.
        num_views: views of each example, the first one included.

    What could not be read is in `broken`, by index; who fills the cache writes it there.
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
            self.broken[index] = f"its kept features cannot be read: {error}"
            return self._as_broken(index)
        return FeatureSample(features, self._clips.target(index), index)

    def _as_broken(self, index: int) -> Broken:
        return Broken(index, self.data.examples[index].key, self.broken[index])

    def jobs(self) -> list[Job]:
        """Every view of every example."""
        return [(view, index) for index in range(len(self)) for view in range(self.num_views)]

    def place(self, job: Job) -> Path:
        """Where the features of a view are or will be.

        Raises:
            UnreadableVideo: there is no such video.
        """
        view, index = job
        name = f"{self._clips.views}" if view == 0 or self._drawn is None else self._drawn.name(view)
        return self.cache.place(self.data.examples[index], name)

    def is_missing(self, job: Job) -> bool:
        """Whether the features of a view have to be computed; also those of a video that cannot be found."""
        try:
            return not is_kept(self.place(job))
        except UnreadableVideo:
            return True

    def clips(self, job: Job) -> Sample | Broken:
        """The pixels of a view."""
        view, index = job
        return self._clips[index] if view == 0 or self._drawn is None else self._drawn[(view, index)]


class DrawnViews(ClipDataset):
    """Examples as training draws them, where what is drawn depends on the example's name and not on its index."""

    def __init__(self, data: DataSet, spec: InputSpec, **others: Unpack[ClipArguments]) -> None:
        super().__init__(data, spec, **others)
        self.augment = others["augment"]

    def name(self, view: int) -> str:
        """All that the pixels of a view depend on beside example and input."""
        return f"view {view} of {self.augment}, seed {self.seed}"

    def generator(self, epoch: int, index: int) -> np.random.Generator:
        """From the seed, the view (in place of an epoch) and the video's path and span."""
        name = os.path.abspath(self.data.examples[index].key)
        return np.random.default_rng([self.seed, epoch, zlib.crc32(name.encode())])


class JobDataset(Dataset[tuple[Job, Sample | Broken]]):
    """Pixels of the views that have to be computed, for a loader's workers."""

    def __init__(self, data: FeatureDataset, jobs: Sequence[Job]) -> None:
        self.data, self.jobs = data, list(jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, place: int) -> tuple[Job, Sample | Broken]:
        return self.jobs[place], self.data.clips(self.jobs[place])


def collate_features(items: Sequence[FeatureSample | Broken]) -> FeatureBatch:
    """Join examples, all views of the first, then all of the second …; shorter ones are padded, broken ones listed apart."""
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
