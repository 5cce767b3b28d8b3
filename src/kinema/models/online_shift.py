"""The temporal shift for streams: channels come from the previous frame only (Lin et al. 2019, section 4.2).

The state of a stream is the shifted channels of the last frame at each layer: frame by frame, `step` computes the same as
the whole clip at once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.backbone import BackboneSource
from kinema.models.layers.fold import FoldedNetwork, Unfolded
from kinema.models.network import State, StreamingNetwork, fastest_layout
from kinema.models.shift import PAPER, SMALL, put_before, put_in_blocks, shifted_convs
from kinema.models.small import SmallFusion
from kinema.models.variant import Variant
from kinema.types import InputSpec


class Past:
    """The shifted channels of the last frame, by layer; one object for all layers of a network."""

    def __init__(self) -> None:
        self._given: Mapping[str, Tensor] = {}
        self._kept: State | None = None

    @contextmanager
    def going_on_from(self, state: Mapping[str, Tensor]) -> Iterator[State]:
        """Inside the block, layers start from `state` and store what the next frame needs in the given dictionary."""
        self._given, self._kept = state, {}
        try:
            yield self._kept
        finally:
            self._given, self._kept = {}, None

    def exchange(self, name: str, last: Tensor) -> Tensor | None:
        """Store the last frame's channels of a layer, and return those before the first; None at the start of a clip."""
        if self._kept is not None:
            self._kept[name] = last
        return self._given.get(name)


class CausalShift(nn.Module):
    """Shifts channels from the previous frame; the first frame gets them from the past, or zeros.

    Args:
        moved: number of shifted channels.
        past: shared by all layers.
        name: of this layer in `past`.
    """

    def __init__(self, moved: int, past: Past, name: str) -> None:
        super().__init__()
        self.moved, self.past, self.name = moved, past, name

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
        """The same size."""
        moving = clip[:, : self.moved]
        before = self.past.exchange(self.name, moving[:, :, -1])
        earlier = F.pad(moving, (0, 0, 0, 0, 1, 0))[:, :, : clip.shape[2]]
        if before is not None:
            earlier = torch.cat([before[:, :, None], earlier[:, :, 1:]], dim=2)
        return torch.cat([earlier, clip[:, self.moved :]], dim=1)

    def extra_repr(self) -> str:
        """Settings, for the printed network."""
        return f"moved={self.moved}"


class OnlineShift(StreamingNetwork):
    """Base of the causal networks: features after each frame, and their running mean.

    Up to `memory` frames it is the mean of all, as in the offline network; then each new frame counts 1 / `memory` and
    older ones fade, so that the logits of a long stream keep changing.
    """

    past: Past
    memory: int

    @abstractmethod
    def frame_features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t f"]:
        """Features after each frame."""

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """The running mean after the last frame."""
        return self._running_means(self.frame_features(clip))[:, -1]

    def frame_logits(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t classes"]:
        """Logits after each frame."""
        return self.classifier(self.dropout(self._running_means(self.frame_features(clip))))

    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b classes"], State]:
        """Logits after one more frame; `state` holds the shifted channels, the mean and the number of frames so far."""
        with self.past.going_on_from(state) as kept:
            new = self.frame_features(frame[:, :, None])[:, 0]
        seen = state["seen"] + 1 if "seen" in state else new.new_ones(len(new), 1)
        mean = state["mean"] if "mean" in state else torch.zeros_like(new)
        mean = mean + (new - mean) / seen.clamp(max=self.memory)
        return self.classifier(self.dropout(mean)), {**kept, "mean": mean, "seen": seen}

    @torch.no_grad()
    def start(self, batch: int = 1) -> State:
        """Zeros, for frames of `spec.size`."""
        modes = {module: module.training for module in self.modules()}
        frame = next(self.parameters()).new_zeros(1, self.spec.num_channels, *self.spec.size)
        _, state = self.eval().step(frame, {})  # only shapes count
        for module, training in modes.items():
            module.training = training
        return {name: value.new_zeros(batch, *value.shape[1:]) for name, value in state.items()}

    def _running_means(self, features: Float[Tensor, "b t f"]) -> Float[Tensor, "b t f"]:
        return running_weights(features.shape[1], self.memory).to(features) @ features


def running_weights(length: int, memory: int) -> Float[Tensor, "t t"]:
    """Weight of each frame (column) in the running mean after each frame (row).

    length=4, memory=2: 1 | 1/2 1/2 | 1/4 1/4 1/2 | 1/8 1/8 1/4 1/2
    """
    rows: list[list[float]] = []
    for index in range(length):
        rate = 1 / min(index + 1, memory)
        before = [weight * (1 - rate) for weight in (rows[-1][:index] if rows else [])]
        rows.append([*before, rate, *[0.0] * (length - index - 1)])
    return torch.tensor(rows)


class CausalTsm(OnlineShift, FoldedNetwork):
    """Temporal shift from the past only, with a running mean, for streams.

    Args:
        spec: the input.
        num_classes: length of the logits; None keeps the backbone's classes.
        backbone: as for `Tsm`.
        share, every: as for `Tsm`.
        memory: length of the running mean in frames; 0 is `spec.clip_len`.
        dropout: before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int | None,
        backbone: BackboneSource,
        share: int = 8,
        every: int = 0,
        memory: int = 0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(spec, num_classes, backbone, dropout)
        self.past, self.memory = Past(), memory or spec.clip_len
        for name, moved in shifted_convs(self.backbone.model, share, every):
            shift = CausalShift(moved, self.past, name)
            put_before(self.backbone.model, name, Unfolded(self.fold, shift))

    def frame_features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t f"]:
        """The backbone's features."""
        return FoldedNetwork.frame_features(self, clip)


class SmallCausalTsm(OnlineShift, SmallFusion):
    """The same on the compact trunk of `single_frame_small`.

    Args:
        spec: the input.
        num_classes: length of the logits.
        width: channels of the stem and of the first stage.
        depths: blocks of each stage.
        share: one in `share` channels is shifted.
        memory: length of the running mean in frames; 0 is `spec.clip_len`.
        dropout: before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        width: int = 32,
        depths: Sequence[int] = (1, 1, 1),
        share: int = 8,
        memory: int = 0,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(spec, num_classes, width, depths, dropout=dropout)
        self.past, self.memory = Past(), memory or spec.clip_len
        put_in_blocks(self, lambda channels, name: CausalShift(max(1, channels // share), self.past, name))

    def frame_features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t f"]:
        """Averaged over space."""
        x = self.stem(fastest_layout(clip))
        for stage in self.blocks:
            x = stage(x)
        return x.mean(dim=(3, 4)).transpose(1, 2)


_INPUT = InputSpec(clip_len=16, frame_stride=4, size=(224, 224))
_NOTE = "shifts from the past only: for streams"

VARIANTS: dict[str, Variant] = {
    "tsm_causal": Variant(
        None,
        {},
        _INPUT,
        PAPER,
        on_backbone=CausalTsm,
        backbone="mobilenetv2_100",
        note=f"{_NOTE}; any residual backbone",
    ),
    "tsm_causal_small": Variant(SmallCausalTsm, SMALL, _INPUT.with_(size=(96, 96)), PAPER, note=_NOTE),
}
