"""Clips that set the int8 ranges of a graph, and other clips that judge it.

In a divided data set the training part sets the ranges, and the validation or test part judges. Otherwise each gets a random
half of the examples, always the same one. The clips are kept in a temporary file: they are read several times and may not fit
into memory.
"""

from __future__ import annotations

import logging
import tempfile
from typing import TYPE_CHECKING

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

_MAX_CLIPS_PER_VIDEO = 10
_FEW_CLIPS = 10


def gather(
    data: DataSet,
    spec: InputSpec,
    num_clips: int,
    *,
    labelled: bool = True,
    advance: Callable[[int], None] = lambda count: None,
) -> Calibration:
    """Read the clips; if there are fewer videos than requested clips, up to 10 clips of each video.

    Args:
        data: videos of the kind that the network is for.
        spec: input of the network.
        num_clips: largest number of clips that set the ranges, and of clips that judge.
        labelled: whether the examples' labels are true.
        advance: called with the number of videos read since the last call.

    Raises:
        DataError: fewer than two videos can be read.
    """
    halves = divide(data, num_clips)
    ranges, _ = _read(data.with_examples(halves[0]), spec, num_clips, advance)
    judged, targets = _read(data.with_examples(halves[1]), spec, num_clips, advance)
    if len(ranges) < _FEW_CLIPS:
        log.warning("%d clips set the int8 ranges; some 100 to 300 would be better", len(ranges))
    return Calibration(ranges, judged, targets if labelled else None)


def divide(data: DataSet, most: int) -> tuple[list[Example], list[Example]]:
    """Examples that set the ranges and examples that judge, at most `most` of each.

    Raises:
        DataError: there is only one example.
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
    each = min(-(-most // len(data)), _MAX_CLIPS_PER_VIDEO)
    clips = ClipDataset(data, spec, augment=None, views=Views(each))
    with tempfile.TemporaryFile() as file:  # it exists as long as it is mapped
        kept: NDArray[np.uint8] = np.memmap(file, np.uint8, "w+", shape=(each * len(data), *spec.shape))
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
        raise DataError("not one video can be read", data.root, "give videos of the kind that the network is for")
    return kept[: len(targets)][:most], tuple(targets[:most])
