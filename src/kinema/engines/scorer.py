"""From uint8 clips to scores: one place that knows devices, number formats and memory layout.

Clips go to the device as uint8, a quarter of the bytes of float32, and are normalised there. Convolutions get
channels-last memory, which on a CPU was worth a factor of two (r3d_18, f32: 1.34 s -> 0.57 s a clip, bf16: 0.24 s). The
network itself is left as it was: on its device, in its layout and in its mode. Softmax is always computed in float32.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from kinema.clips.framewise import plan_frames
from kinema.clips.transforms import normalize
from kinema.errors import CheckpointError
from kinema.models.device import autocast, resolve_device, resolve_precision
from kinema.models.layers.cpu_workarounds import QuickConvolutions
from kinema.models.network import StepNetwork, StreamingNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kinema.clips.windows import Plan
    from kinema.models.network import FrameParts, Network
    from kinema.types import InputSpec

    Encode = Callable[[Tensor], NDArray[np.float32]]

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
    """What computes; see `kinema.engines.choose`."""

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
        """What the network's task asks of uint8 clips [b c t h w]: logits [b classes], or [b t classes] for task `frame`."""

    @abstractmethod
    def frame_plan(self) -> Plan:
        """Which clips of a video a network of task `frame` is shown."""

    def frame_scorer(self) -> FrameScorer | None:
        """The network in two steps, frames and clips; None where it sees several frames at once, or cannot be cut."""
        return None

    @abstractmethod
    def in_torch(self) -> Scorer:
        """The network in torch, for callers that need its layers.

        Raises:
            UsageError: there is none.
        """


class Scorer(ClipScorer):
    """A network in torch that scores clips. As a context manager it puts the network into evaluation mode meanwhile.

    Args:
        network: with its input in `network.spec`.
        task: "frame" asks for logits at each frame; any other task for one row a clip.
        device: "auto" leaves a network on a GPU where it is, and takes one on the CPU to the GPU if there is one.
        precision: "auto", "f32", "bf16" or "fp16".
        batch_size: most clips that go through the network at once; None: see `usual_batch`.
    """

    def __init__(
        self,
        network: Network,
        *,
        task: str = "clip",
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        self.network, self.spec, self.task = network, network.spec, task
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
        """Logits [b classes] of uint8 clips [b c t h w]; [b t classes] for task `frame`."""
        if self.task == "frame":
            return self.apply(cast("StepNetwork", self.network).step_logits, clips)
        return self.clip_logits(clips)

    def clip_logits(self, clips: Tensor) -> NDArray[np.float32]:
        """Logits [b classes] of uint8 clips [b c t h w], whatever the task."""
        return self.apply(self.network, clips)

    def frame_plan(self) -> Plan:
        """Which clips of a video a network of task `frame` is shown.

        Raises:
            CheckpointError: the network has no answer at each frame, or spreads its frames.
        """
        if not isinstance(self.network, StepNetwork) or self.spec.sampling == "spread":
            do = "train it with --task frame, which takes care of that"
            raise CheckpointError("this network cannot answer at each frame", self.network.variant, do)
        return partial(plan_frames, causal=isinstance(self.network, StreamingNetwork))

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


class FrameScorer:
    """Scores clips frame by frame.

    Args:
        scorer: holds the network in torch.
        parts: the network's two steps.
        encode: computes the first step in place of torch.
    """

    def __init__(self, scorer: Scorer, parts: FrameParts, encode: Encode | None = None) -> None:
        self._scorer, self._parts, self._encode = scorer, parts, encode
        self.num_clips = scorer.batch_size
        self.num_frames = scorer.batch_size * scorer.spec.clip_len
        """Most frames that go through the frame network at once: as many as a batch of clips has."""

    def encode(self, frames: UInt8[Tensor, "n c 1 h w"]) -> NDArray[np.float32]:
        """A vector [n f] for each frame."""
        if self._encode is not None:
            return self._encode(frames)
        return self._scorer.apply(self._parts.encode, frames, self.num_frames)

    def features(self, encoded: Float[Tensor, "b t f"]) -> NDArray[np.float32]:
        """Features [b g] of clips."""
        return self._scorer.run(self._parts.join, encoded)

    def logits(self, encoded: Float[Tensor, "b t f"]) -> NDArray[np.float32]:
        """Logits [b classes] of clips; [b t classes] for task `frame`."""
        join = self._parts.join_steps if self._scorer.task == "frame" else self._parts.join
        assert join is not None
        return self._scorer.run(lambda rows: self._scorer.network.classifier(join(rows)), encoded)


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
