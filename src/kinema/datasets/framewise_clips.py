"""Training clips with a label for each frame: a torch `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from kinema.clips.sampling import shown_times, train_places, usable_frames
from kinema.datasets.clips import ClipArguments, ClipDataset
from kinema.datasets.dataset import DataSet
from kinema.datasets.frames import OpenFrames, Pixels
from kinema.datasets.temporal_labels import TemporalLabels
from kinema.types import InputSpec


class FramewiseClips(ClipDataset):
    """Training clips from random places of a video, with the class at each frame: targets int64 [t].

    An epoch takes one clip of a video for each of its rows, so that a long video with many labels counts for more than a short
    one. `collate` joins clips to batches with targets [b t].

    Args:
        data: rows with spans.
        spec: the input of the network.
        labels: the labels of each video, by its path; see `temporal_labels`.
        others: augmentation, seed and caches, as for `ClipDataset`.
    """

    def __init__(
        self, data: DataSet, spec: InputSpec, labels: Mapping[str, TemporalLabels], **others: Unpack[ClipArguments]
    ) -> None:
        super().__init__(data, spec, **others)
        self.labels = labels

    def read_clips(self, frames: OpenFrames, index: int, rng: np.random.Generator) -> tuple[Pixels, int | Tensor]:
        """The decoded frames [1 t h w c] of a random clip, and the class at each of them [t]."""
        usable = usable_frames(self.spec, frames.times_s, end_s=frames.end_s(self.spec))
        places = train_places(self.spec, len(usable), rng)
        labels = self.labels[self.data.examples[index].path]
        targets = labels.at(shown_times(self.spec, frames.times_s, usable)[places])
        return frames.at(usable[places])[None], torch.from_numpy(targets)
