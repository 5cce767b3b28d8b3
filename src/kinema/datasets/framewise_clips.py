"""Training clips with a label for each frame: a torch `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import torch

from kinema.clips.sampling import shown_times, train_places, usable_frames
from kinema.datasets.clips import Broken, ClipArguments, ClipDataset, Sample
from kinema.datasets.dataset import DataSet
from kinema.datasets.temporal_labels import TemporalLabels
from kinema.errors import VideoError
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
        self,
        data: DataSet,
        spec: InputSpec,
        labels: Mapping[str, TemporalLabels],
        **others: Unpack[ClipArguments],
    ) -> None:
        super().__init__(data, spec, **others)
        self.labels = labels

    def __getitem__(self, key: int | tuple[int, int]) -> Sample | Broken:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        example = self.data.examples[index]
        rng = self.generator(epoch, index)
        try:
            with self.frames.open(example.path) as frames:
                usable = usable_frames(self.spec, frames.times_s, end_s=frames.end_s(self.spec))
                places = train_places(self.spec, len(usable), rng)
                targets = self.labels[example.path].at(shown_times(self.spec, frames.times_s, usable)[places])
                pixels = frames.at(usable[places])
        except (VideoError, OSError) as error:
            return Broken(index, example.key, str(error))
        return self.make_sample(pixels[None], torch.from_numpy(targets), index, rng)
