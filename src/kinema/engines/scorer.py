"""Score uint8 clips: devices, precisions and memory layouts are handled here and nowhere else.

Clips are moved to the device as uint8, a quarter of the bytes of float32, and normalised there. Convolutions get
channels-last memory, which halves the time on a CPU (r3d_18, f32: 1.34 s -> 0.57 s per clip; bf16: 0.24 s). The network
keeps its device, layout and mode. Softmax is always computed in float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property, partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from kinema.clips.framewise import plan_frames
from kinema.clips.transforms import normalize
from kinema.errors import CheckpointError
from kinema.models.device import autocast, resolve_device, resolve_precision
from kinema.models.layers.onednn_conv import use_onednn
from kinema.models.network import FramewiseNetwork, StreamingNetwork, sharing_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kinema.clips.windows import Plan
    from kinema.models.network import AnyNetwork, FrameParts, Network
    from kinema.types import InputSpec

    Encode = Callable[[Tensor], NDArray[np.float32]]

_MOST_CLIPS, _MOST_PIXELS = 8, 16 * 224 * 224


def usual_batch(spec: InputSpec, device: torch.device) -> int:
    """Default batch size: eight clips; on a CPU two to eight, fewer for large clips.

    With more pixels, activations no longer fit into the processor's caches: with eight clips OpenVINO took 67 instead of
    57 ms per clip of x3d_m, and 517 instead of 468 ms of mvit_v2_s; r3d_18 and torch gained nothing. A small batch is also
    complete sooner.
    """
    frames, rows, columns = spec.shape[1:]
    return _MOST_CLIPS if device.type != "cpu" else min(max(_MOST_PIXELS // (frames * rows * columns), 2), _MOST_CLIPS)


class ClipScorer(ABC):
    """Gives the logits of clips: a network in torch, a converted network, or an exported file."""

    engine: str = "torch"
    """Name of the engine; see `kinema.engines.backends`."""

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
        """Logits [b classes] of uint8 clips [b c t h w]; [b t classes] for task `frame`."""

    @abstractmethod
    def frame_plan(self) -> Plan:
        """The function that plans the clips of a video for task `frame`."""

    def frame_scorer(self) -> FrameScorer | None:
        """The network as frame network and joining layers; None if its layers see several frames at once."""
        return None

    @abstractmethod
    def in_torch(self) -> Scorer:
        """The network in torch, for callers that need its layers.

        Raises:
            UsageError: there is only an exported file.
        """


class Scorer(ClipScorer):
    """A network in torch that scores clips. Its context moves the network to the device, in evaluation mode.

    Args:
        network: its `spec` describes the clips.
        task: "frame" gives logits at each frame; any other task gives one row per clip.
        device: "auto" keeps a network that is on a GPU there, and moves one from the CPU to a GPU if there is one.
        precision: "auto", "f32", "bf16" or "fp16".
        batch_size: largest number of clips at once; None: see `usual_batch`.
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

    def __enter__(self) -> Scorer:
        self._was_training = self.network.training
        self.network.to(self.device).eval()
        self.__dict__.pop("scoring_network", None)  # its tensors may be those of another device
        return self

    def __exit__(self, *_: object) -> None:
        self.network.to(self._home).train(self._was_training)
        self.__dict__.pop("scoring_network", None)

    @cached_property
    def scoring_network(self) -> Network:
        """The network to compute with, see `for_scoring`; functions for `apply` take their layers from it."""
        return self.for_scoring(self.network)

    def for_scoring(self, network: AnyNetwork) -> AnyNetwork:
        """A copy whose 3-D convolutions are fast for single clips, see `onednn_conv`, in float32 on a CPU; else itself."""
        has_clips = any(isinstance(module, nn.Conv3d) for module in network.modules())
        if not (has_clips and self.device.type == "cpu" and self.precision == "f32"):
            return network
        copied = sharing_weights(network)
        use_onednn(copied)
        return copied

    def __call__(self, clips: Tensor) -> NDArray[np.float32]:
        """Logits [b classes] of uint8 clips [b c t h w]; [b t classes] for task `frame`."""
        if self.task == "frame":
            return self.apply(cast("FramewiseNetwork", self.scoring_network).frame_logits, clips)
        return self.clip_logits(clips)

    def clip_logits(self, clips: Tensor) -> NDArray[np.float32]:
        """Logits [b classes] of uint8 clips [b c t h w], whatever the task."""
        return self.apply(self.scoring_network, clips)

    def frame_plan(self) -> Plan:
        """The function that plans the clips of a video for task `frame`.

        Raises:
            CheckpointError: the network has no logits at each frame, or spreads its frames over a window.
        """
        if not isinstance(self.network, FramewiseNetwork) or self.spec.sampling == "spread":
            do = "train it with --task frame, which takes care of that"
            raise CheckpointError("this network cannot answer at each frame", self.network.variant, do)
        return partial(plan_frames, causal=isinstance(self.network, StreamingNetwork))

    def in_torch(self) -> Scorer:
        """This scorer."""
        return self

    def frame_scorer(self) -> FrameScorer | None:
        """See `ClipScorer.frame_scorer`."""
        parts = self.scoring_network.frame_parts()
        return None if parts is None else FrameScorer(self, parts)

    def apply(
        self, function: Callable[[Tensor], Tensor], clips: Tensor, at_once: int | None = None, *, whole: bool = False
    ) -> NDArray[np.float32]:
        """Normalise uint8 clips [b c t h w], pass them to a function in batches, and concatenate its rows.

        Args:
            function: takes normalised clips on the device.
            clips: any number.
            at_once: largest number of clips in a batch; None is the scorer's batch size.
            whole: fill up the last batch. Kernels are chosen by batch size and round differently; with whole batches the row
                of a clip is the same to the bit, whichever clips share its batch.
        """
        at_once = at_once or self.batch_size
        parts = list(torch.split(clips, at_once))
        if whole:
            missing = at_once - len(parts[-1])
            parts[-1] = torch.cat([parts[-1], clips[:1].expand(missing, *clips.shape[1:])])

        def normalized(pixels: Tensor) -> Tensor:
            return function(normalize(pixels, self.spec).contiguous(memory_format=torch.channels_last_3d))

        return np.concatenate([self.run(normalized, part) for part in parts])[: len(clips)]

    def run(self, function: Callable[..., Tensor], *inputs: Tensor | None) -> NDArray[np.float32]:
        """Call a function with tensors as they are, on the device and in the scorer's precision."""
        moved = [None if value is None else value.to(self.device, non_blocking=True) for value in inputs]
        with torch.inference_mode(), autocast(self.device, self.precision):
            return function(*moved).float().cpu().numpy()


class FrameScorer:
    """Encodes frames one by one and joins their vectors, so that overlapping clips share frames.

    Args:
        scorer: holds the network in torch.
        parts: the network's frame network and the functions that join vectors.
        encode: replaces the frame network in torch.
    """

    def __init__(self, scorer: Scorer, parts: FrameParts, encode: Encode | None = None) -> None:
        self._scorer, self._parts, self._encode = scorer, parts, encode
        self.num_clips = scorer.batch_size
        self.num_frames = scorer.batch_size * scorer.spec.clip_len
        """Largest number of frames at once: as many as a batch of clips has."""

    def encode(self, frames: UInt8[Tensor, "n c 1 h w"]) -> NDArray[np.float32]:
        """A vector [n f] of each frame."""
        if self._encode is not None:
            return self._encode(frames)
        return self._scorer.apply(self._parts.encode, frames, self.num_frames)

    def features(self, encoded: Float[Tensor, "b t f"]) -> NDArray[np.float32]:
        """Features [b g] of clips."""
        return self._scorer.run(self._parts.join, encoded)

    def logits(self, encoded: Float[Tensor, "b t f"]) -> NDArray[np.float32]:
        """Logits [b classes] of clips; [b t classes] for task `frame`."""
        join = self._parts.join_frames if self._scorer.task == "frame" else self._parts.join
        assert join is not None
        return self._scorer.run(lambda rows: self._scorer.network.classifier(join(rows)), encoded)


def to_scores(logits: NDArray[np.float32], multi_label: bool) -> NDArray[np.float32]:
    """Softmax over the last axis, or sigmoids if a video may have several labels, in float32."""
    values = torch.from_numpy(logits).float()
    return cast("NDArray[np.float32]", (values.sigmoid() if multi_label else values.softmax(dim=-1)).numpy())


def check_numbers(values: NDArray[np.float32], path: str) -> None:
    """Check that outputs of a network are finite.

    Args:
        values: scores or features.
        path: the video or network, for the message.

    Raises:
        CheckpointError: a value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        do = "the network has diverged (train it again with a lower learning rate) or needs --precision f32"
        raise CheckpointError("the network's scores are not numbers", path, do)
