"""Clips by which a graph gets its int8 ranges, and others by which it is judged.

Where the data has parts, those to learn from set the ranges and one of the others judges; else the examples are divided
in halves, by chance but always in the same way. The clips wait in a file without a name, because they are read several
times and may be too many for memory.
"""

from __future__ import annotations

import logging
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from kinema.datasets.clips import Broken, ClipDataset, Views
from kinema.engines.quantize import Calibration
from kinema.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kinema.datasets.dataset import DataSet
    from kinema.types import Example, InputSpec

log = logging.getLogger("kinema")

_MOST_CLIPS = 10
_FEW = 10


def gather(
    data: DataSet,
    spec: InputSpec,
    num_clips: int,
    *,
    labelled: bool = True,
    advance: Callable[[int], None] = lambda count: None,
) -> Calibration:
    """Read the clips; where there are fewer videos than clips are wanted, up to 10 of each.

    Args:
        data: videos such as the network is meant for.
        spec: how the network wants to be fed.
        num_clips: of either kind, at most.
        labelled: whether the examples' labels are true.
        advance: called with the number of videos read since the last call.

    Raises:
        DataError: there are not two videos that can be read.
    """
    halves = divide(data, num_clips)
    ranges, _ = _read(data.with_examples(halves[0]), spec, num_clips, advance)
    judged, targets = _read(data.with_examples(halves[1]), spec, num_clips, advance)
    if len(ranges) < _FEW:
        log.warning("%d clips set the int8 ranges; some 100 to 300 would be better", len(ranges))
    return Calibration(ranges, judged, targets if labelled else None)


def divide(data: DataSet, most: int) -> tuple[list[Example], list[Example]]:
    """Examples that set the ranges and others that judge, at most so many of each.

    Raises:
        DataError: there is one example only.
    """
    order = np.random.default_rng(0).permutation(len(data.examples))
    mixed = [data.examples[index] for index in order]
    judging = next((part for part in ("valid", "test") if part in data.parts), None)
    if judging is not None and "train" in data.parts:
        first, second = ([e for e in mixed if e.split == part] for part in ("train", judging))
    else:
        first, second = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
    if not first:
        raise DataError("one video cannot both set int8 ranges and judge them", data.root, "give more videos")
    return first[:most], second[:most]


def _read(
    data: DataSet, spec: InputSpec, most: int, advance: Callable[[int], None]
) -> tuple[NDArray[np.uint8], tuple[tuple[int, ...], ...]]:
    """Clips [n c t h w] of examples, and the classes of each clip."""
    each = min(-(-most // len(data)), _MOST_CLIPS)
    clips = ClipDataset(data, spec, augment=None, views=Views(each))
    kept: NDArray[Any] = _on_disk((each * len(data), *spec.shape))
    targets: list[tuple[int, ...]] = []
    for index, example in enumerate(data.examples):
        sample = clips[index]
        advance(1)
        if isinstance(sample, Broken):
            log.warning("left out: %s: %s", sample.key, sample.reason)
            continue
        kept[len(targets) : len(targets) + len(sample.clips)] = sample.clips.numpy()
        targets += [data.targets(example)] * len(sample.clips)
    if not targets:
        raise DataError("not one video can be read", data.root, "give videos such as the network is meant for")
    return kept[: len(targets)][:most], tuple(targets[:most])


def _on_disk(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)  # the file lives as long as it is mapped
