"""From uint8 clips to scores: one place that knows devices, number formats and memory layout.

Clips go to the device as uint8, a quarter of the bytes of float32, and are normalised there. Convolutions get
channels-last memory, which on a CPU was worth a factor of two (r3d_18, f32: 1.34 s -> 0.57 s a clip, bf16: 0.24 s). The
network itself is left as it was: on its device, in its layout and in its mode. Softmax is always computed in float32.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader, Subset

from kinema.clips.transforms import normalize
from kinema.datasets.clips import ClipDataset, collate
from kinema.errors import CheckpointError
from kinema.inference.frame_scorer import FrameScorer
from kinema.inference.step_windows import step_plan
from kinema.machine import worker_count
from kinema.models.device import autocast, resolve_device, resolve_precision
from kinema.models.mended import QuickConvolutions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kinema.datasets.cache import FrameCache
    from kinema.datasets.clips import Batch, Views
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.flow_cache import FlowCache
    from kinema.inference.windows import Plan
    from kinema.models.network import Network, StepNetwork
    from kinema.types import InputSpec


_MOST_CLIPS, _MOST_PIXELS = 8, 16 * 224 * 224


def usual_batch(spec: InputSpec, device: torch.device) -> int:
    """Clips that go through a network at once where nobody says how many: eight, on a CPU fewer of large ones, but two.

    What layers make of more pixels leaves the processor's caches: OpenVINO took 67 in place of 57 ms a clip of x3d_m, 517 in
    place of 468 of mvit_v2_s; r3d_18 and torch gained nothing by more. The network also begins sooner.
    """
    frames, rows, columns = spec.shape[1:]
    return _MOST_CLIPS if device.type != "cpu" else min(max(_MOST_PIXELS // (frames * rows * columns), 2), _MOST_CLIPS)


class ClipScorer(ABC):
    """What gives clips their logits: a network in torch, a converted one, or an exported file."""

    engine: str = "torch"
    """What computes; see `kinema.inference.engine`."""

    spec: InputSpec
    device: torch.device
    precision: str
    batch_size: int

    def __enter__(self) -> ClipScorer:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def __call__(self, clips: Tensor) -> NDArray[np.float32]:
        """Logits [b classes] of uint8 clips [b c t h w]."""

    @abstractmethod
    def steps(self, clips: Tensor) -> NDArray[np.float32]:
        """Logits [b t classes] at each frame, of a network that learned to answer there."""

    @abstractmethod
    def step_plan(self) -> Plan:
        """How films are looked at by a network that answers at each frame."""

    def frame_scorer(self) -> FrameScorer | None:
        """What computes frames and clips apart; None where the network sees several frames at once, or cannot be cut."""
        return None

    @abstractmethod
    def in_torch(self) -> Scorer:
        """The network in torch, for what needs its layers.

        Raises:
            UsageError: there is none.
        """


class Scorer(ClipScorer):
    """A network ready to score clips. As a context manager it puts the network into evaluation mode meanwhile.

    Args:
        network: with its input in `network.spec`.
        device: "auto" leaves a network on a GPU where it is, and takes one on the CPU to the GPU if there is one.
        precision: "auto", "f32", "bf16" or "fp16".
        batch_size: most clips that go through the network at once; None: see `usual_batch`.
    """

    def __init__(
        self, network: Network, *, device: str = "auto", precision: str = "auto", batch_size: int | None = None
    ) -> None:
        self.network, self.spec = network, network.spec
        self._home = next(network.parameters()).device
        self.device = self._home if device == "auto" and self._home.type != "cpu" else resolve_device(device)
        self.batch_size = batch_size or usual_batch(self.spec, self.device)
        self.precision = resolve_precision(precision, self.device)
        self._was_training = network.training
        has_clips = any(isinstance(module, nn.Conv3d) for module in network.modules())
        self._is_slow_alone = has_clips and self.device.type == "cpu" and self.precision == "f32"

    def __enter__(self) -> Scorer:
        self._was_training = self.network.training
        self.network.to(self.device).eval()
        return self

    def __exit__(self, *_: object) -> None:
        self.network.to(self._home).train(self._was_training)

    def __call__(self, clips: Tensor) -> NDArray[np.float32]:
        """Logits [b classes] of uint8 clips [b c t h w]."""
        return self.apply(self.network, clips)

    def steps(self, clips: Tensor) -> NDArray[np.float32]:
        """Logits [b t classes] at each frame."""
        return self.apply(cast("StepNetwork", self.network).step_logits, clips)

    def step_plan(self) -> Plan:
        """See `step_windows.step_plan`, with what it raises."""
        return step_plan(self.network)

    def in_torch(self) -> Scorer:
        """Itself."""
        return self

    def frame_scorer(self) -> FrameScorer | None:
        """The network in two steps, where it looks at each frame alone."""
        parts = self.network.frame_parts()
        return None if parts is None else FrameScorer(self, parts)

    def apply(
        self, function: Callable[[Tensor], Tensor], clips: Tensor, at_once: int | None = None, *, whole: bool = False
    ) -> NDArray[np.float32]:
        """What `function` makes of uint8 clips [b c t h w], normalised, some at a time: its rows, joined.

        Args:
            function: on clips as the network takes them.
            clips: any number.
            at_once: most of them; None is a batch.
            whole: fill up the last ones to as many, because kernels are chosen by the size of a batch and round in
                different ways: each row is then the same to the bit, whichever came with it.
        """
        at_once = at_once or self.batch_size
        parts = torch.split(clips, at_once)
        if whole:
            parts = (*parts[:-1], _filled(parts[-1], at_once))
        return np.concatenate([self._of_pixels(function, part) for part in parts])[: len(clips)]

    def run(self, function: Callable[..., Tensor], *inputs: Tensor | None) -> NDArray[np.float32]:
        """What `function` makes of tensors as they are, on the device and in the number format."""
        moved = [None if value is None else value.to(self.device, non_blocking=True) for value in inputs]
        with self._computing():
            return function(*moved).float().cpu().numpy()

    def _of_pixels(self, function: Callable[[Tensor], Tensor], clips: Tensor) -> NDArray[np.float32]:
        with self._computing():
            pixels = normalize(clips.to(self.device, non_blocking=True), self.spec)
            return function(pixels.contiguous(memory_format=torch.channels_last_3d)).float().cpu().numpy()

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        quick = QuickConvolutions() if self._is_slow_alone else contextlib.nullcontext()
        with torch.inference_mode(), autocast(self.device, self.precision), quick:
            yield


def _filled(clips: Tensor, count: int) -> Tensor:
    return torch.cat([clips, clips[:1].expand(count - len(clips), *clips.shape[1:])])


def to_scores(logits: NDArray[np.float32], multi_label: bool) -> NDArray[np.float32]:
    """Softmax over the last axis, or the sigmoid where a video may carry several labels, in float32."""
    values = torch.from_numpy(logits).float()
    return cast("NDArray[np.float32]", (values.sigmoid() if multi_label else values.softmax(dim=-1)).numpy())


def check_numbers(values: NDArray[np.float32], path: str) -> None:
    """Make sure that what a network says of a film, or of a stream, are numbers.

    Raises:
        CheckpointError: they are not.
    """
    if not np.isfinite(values).all():
        do = "the network has diverged (train it again with a lower learning rate) or needs --precision f32"
        raise CheckpointError("the network's scores are not numbers", path, do)


def score(
    network: Network | ClipScorer,
    batches: Iterable[Batch],
    spec: InputSpec | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int = 64,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Score batches of views.

    Args:
        network: stays where it is and as it is; or what scores in its place, with options of its own.
        batches: of uint8 clips with the data set index of each row.
        spec: how the clips were made; None is the network's own.
        device: see `Scorer`.
        precision: see `Scorer`.
        batch_size: most clips at once.

    Yields:
        data set index and logits [classes] of each view.
    """
    if not isinstance(network, ClipScorer):
        network = Scorer(network, device=device, precision=precision, batch_size=batch_size)
        network.spec = spec or network.spec
    with network as scorer:
        for batch in batches:
            if len(batch.indices):
                yield from zip(batch.indices.tolist(), scorer(batch.clips), strict=True)


@dataclass
class Scored:
    """What came of a data set: logits [views classes] by example, and why an example could not be read."""

    logits: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)


def score_data(
    network: Network | ClipScorer,
    data: DataSet,
    views: Views,
    *,
    workers: int | None = None,
    cache: FrameCache | None = None,
    flow_cache: FlowCache | None = None,
    advance: Callable[[int], None] = lambda count: None,
    **options: Any,
) -> Scored:
    """Score every example of a data set; where several processes run, they share the examples and all get the whole.

    Args:
        network: see `score`.
        data: the examples.
        views: clips and crops of each example.
        workers: processes that decode; None is one for each core but one, at most 8.
        cache: of decoded frames.
        flow_cache: of optical flow.
        advance: called with the number of examples done since the last call.
        options: device, precision and batch_size, as for `Scorer`.
    """
    clips = ClipDataset(data, network.spec, augment=None, views=views, cache=cache, flow_cache=flow_cache)
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if _is_shared() else (0, 1)
    own = range(rank, len(data.examples), world)
    with _loader(clips, own, views, worker_count(workers), options.get("batch_size", 8)) as batches:
        found = _collect(network, batches, advance, options)
    return _gathered(found, world)


@contextlib.contextmanager
def _loader(clips: ClipDataset, own: range, views: Views, workers: int, batch_size: int) -> Iterator[Iterable[Batch]]:
    workers = min(workers, len(own))
    loader: DataLoader[Any] = DataLoader(
        cast(Any, Subset(cast(Any, clips), own)),
        batch_size=max(1, batch_size // len(views)),
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    yield loader


def _collect(
    network: Network | ClipScorer, batches: Iterable[Batch], advance: Callable[[int], None], options: dict[str, Any]
) -> Scored:
    found = Scored()
    views: dict[int, list[NDArray[np.float32]]] = {}

    def watched() -> Iterator[Batch]:
        for batch in batches:
            found.broken.update({item.index: item.reason for item in batch.broken})
            yield batch
            advance(len(set(batch.indices.tolist())) + len(batch.broken))

    for index, logits in score(network, watched(), **options):
        views.setdefault(index, []).append(logits)
    found.logits = {index: np.stack(rows) for index, rows in views.items()}
    return found


def _is_shared() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _gathered(found: Scored, world: int) -> Scored:
    if world == 1:
        return found
    parts: list[Any] = [None] * world
    distributed.all_gather_object(parts, found)
    whole = Scored()
    for part in parts:
        whole.logits.update(part.logits)
        whole.broken.update(part.broken)
    return whole
