"""Training clips around key frames, with boxes and the labels of each: a torch `Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from kinema.clips.around import clips_around
from kinema.clips.box_transforms import transform_with_boxes
from kinema.clips.transforms import Augment
from kinema.datasets.clips import Broken, ClipArguments, ClipDataset
from kinema.datasets.located_boxes import BoxSet
from kinema.errors import VideoError
from kinema.types import InputSpec


@dataclass(frozen=True, slots=True, eq=False)
class BoxSample:
    """A clip uint8 [c t h w], boxes in its pixels [n 4], their labels [n classes], and its index. n may be 0."""

    clip: Tensor
    boxes: Tensor
    targets: Tensor
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class BoxBatch:
    """Clips with their boxes.

    Args:
        clips: uint8 [b c t h w].
        boxes: [n 5]: the clip of each box, then left, top, right, bottom in its pixels.
        targets: labels of each box [n classes], zeros and ones.
        indices: data set index of each clip [b].
        broken: the examples of this batch that could not be read.
    """

    clips: Tensor
    boxes: Tensor
    targets: Tensor
    indices: Tensor
    broken: tuple[Broken, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def pin_memory(self) -> BoxBatch:
        """A copy in page-locked memory; see `Batch.pin_memory`."""
        clips, boxes = self.clips.pin_memory(), self.boxes.pin_memory()
        return BoxBatch(clips, boxes, self.targets.pin_memory(), self.indices.pin_memory(), self.broken)


class BoxClips(ClipDataset):
    """A clip around each key frame, changed together with its boxes.

    Args:
        data: key frames with boxes.
        spec: the input of the network.
        others: augmentation, seed and caches, as for `ClipDataset`.
    """

    data: BoxSet

    def __init__(self, data: BoxSet, spec: InputSpec, **others: Unpack[ClipArguments]) -> None:
        super().__init__(data, spec, **others)

    def __getitem__(self, key: int | tuple[int, int]) -> BoxSample | Broken:  # type: ignore[override]
        epoch, index = key if isinstance(key, tuple) else (0, key)
        example = self.data.examples[index]
        boxes, targets = self.data.to_learn(example.key)
        at_s = np.array([self.data.key_frames[example.key].time_s])
        try:
            with self.frames.open(example.path) as frames:
                shown = frames.at(clips_around(self.spec, frames.times_s, at_s)[0])
        except (VideoError, OSError) as error:
            return Broken(index, example.key, str(error))
        tensor, augment = torch.from_numpy(shown).permute(0, 3, 1, 2), self.augment or Augment(crop="center", flip=0.0)
        clip, moved, kept = transform_with_boxes(tensor, boxes, augment, self.spec, self.generator(epoch, index))
        return BoxSample(clip, moved, torch.from_numpy(targets[kept]), index)


def collate_boxes(items: Sequence[BoxSample | Broken]) -> BoxBatch:
    """Join examples to a batch; broken ones are listed separately."""
    samples = [item for item in items if isinstance(item, BoxSample)]
    broken = tuple(item for item in items if isinstance(item, Broken))
    if not samples:
        empty = torch.empty(0, dtype=torch.int64)
        return BoxBatch(torch.empty((0,) * 5, dtype=torch.uint8), torch.empty(0, 5), torch.empty(0, 0), empty, broken)
    numbers = [torch.full((len(sample.boxes), 1), float(place)) for place, sample in enumerate(samples)]
    return BoxBatch(
        clips=torch.stack([sample.clip for sample in samples]),
        boxes=torch.cat([torch.cat([n, sample.boxes], 1) for n, sample in zip(numbers, samples, strict=True)]),
        targets=torch.cat([sample.targets for sample in samples]),
        indices=torch.tensor([sample.index for sample in samples]),
        broken=broken,
    )
