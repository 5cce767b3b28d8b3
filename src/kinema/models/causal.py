"""A causal network for live video, after MoViNet's streaming variants (Kondratyuk et al. 2021).

Mobile inverted bottlenecks with filters over space, then depthwise filters over this and earlier frames: "(2+1)D". A
buffer keeps the earlier frames that a filter over time needs, so that each frame costs the same and a video of any
length runs in constant memory. Squeeze-and-excitation and the readout average over past frames.

Differences from MoViNet: `causal_a0` has the layers, kernels and channels of A0, but plain shortcuts only, no published
weights, and another average. MoViNet's mean over all frames so far barely changes after a minute; this one is the mean
of the first `memory` frames and an exponential average after them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import State, StreamingNetwork, init_he
from kinema.models.variant import Variant
from kinema.types import InputSpec

StageShape = tuple[int, Sequence[int], Sequence[tuple[int, int]], int]
"""Channels; expanded channels of each block; kernels of each block over time and space; stride of the first."""

Frames = Float[Tensor, "b t c h w"]
Sizes = tuple[int, int]


class RunningMean(nn.Module):
    """The mean of all values so far up to `memory` frames, then an exponential average of that length.

    >>> mean = RunningMean(memory=2)
    >>> mean(torch.tensor([[[1.0], [2.0], [3.0]]])).flatten().tolist()  # 1, (1 + 2) / 2, (1.5 + 3) / 2
    [1.0, 1.5, 2.25]
    """

    def __init__(self, memory: int) -> None:
        super().__init__()
        if memory < 2:
            raise ValueError(f"a running mean needs a memory of at least 2 frames, got {memory=}")
        self.memory = memory

    def forward(self, values: Float[Tensor, "b t c"]) -> Float[Tensor, "b t c"]:
        """The mean after each of the values."""
        steps = torch.arange(values.shape[1], device=values.device, dtype=torch.float64)
        # Weight of value s in the mean after value t: its own share, times what the later shares leave of it.
        own = 1 / (steps + 1).clamp(max=self.memory)
        left = torch.cat([torch.zeros_like(own[:1]), torch.log1p(-own[1:])]).cumsum(0)
        weights = own * torch.exp((left[:, None] - left[None, :]).clamp(max=0))
        return weights.tril().to(values.dtype) @ values

    def start(self, batch: int, channels: int, like: Tensor) -> State:
        """The state before the first value."""
        return {"mean": like.new_zeros(batch, channels), "count": like.new_zeros(batch, 1)}

    def step(self, value: Float[Tensor, "b c"], state: State) -> State:
        """The state after one more value."""
        count = (state["count"] + 1).clamp(max=self.memory)
        return {"mean": state["mean"] + (value - state["mean"]) / count, "count": count}


class TemporalConv(nn.Module):
    """A depthwise filter over this frame and earlier ones; frames before the first are zero.

    Args:
        channels: in and out.
        length: of the filter in frames.
        sizes: height and width of the input, for the buffer.
    """

    def __init__(self, channels: int, length: int, sizes: Sizes) -> None:
        super().__init__()
        self.shape = (length - 1, channels, *sizes)
        # A 2-D convolution over (t, h w): a depthwise Conv3d is a third slower to train on a CPU.
        self.filters = nn.Conv2d(channels, channels, (length, 1), groups=channels, bias=False)

    def forward(self, frames: Frames) -> Frames:
        """All frames at once."""
        padded = nn.functional.pad(frames, (0, 0) * 3 + (self.shape[0], 0))
        return self.filters(padded.transpose(1, 2).flatten(3)).unflatten(3, frames.shape[3:]).transpose(1, 2)

    def start(self, batch: int) -> State:
        """The state before the first frame."""
        return {"frames": self.filters.weight.new_zeros(batch, *self.shape)}

    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b c h w"], State]:
        """One more frame, as a weighted sum: for a single output frame a convolution spends most of its time on setup."""
        seen = torch.cat([state["frames"], frame[:, None]], dim=1)
        weights = self.filters.weight[:, 0, :, 0].T[:, :, None, None]
        return (seen * weights).sum(dim=1), {"frames": seen[:, 1:]}


class Excitation(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018) from the running mean of each channel over time and space."""

    def __init__(self, channels: int, squeezed: int, memory: int) -> None:
        super().__init__()
        self.channels = channels
        self.mean = RunningMean(memory)
        self.weigh = nn.Sequential(
            nn.Linear(channels, squeezed), nn.Hardswish(), nn.Linear(squeezed, channels), nn.Hardsigmoid()
        )

    def forward(self, frames: Frames) -> Frames:
        """All frames at once."""
        return frames * self.weigh(self.mean(frames.mean(dim=(3, 4))))[..., None, None]

    def start(self, batch: int) -> State:
        """The state before the first frame."""
        return self.mean.start(batch, self.channels, self.weigh[0].weight)  # type: ignore[arg-type]

    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b c h w"], State]:
        """One more frame."""
        state = self.mean.step(frame.mean(dim=(2, 3)), state)
        return frame * self.weigh(state["mean"])[..., None, None], state


class PerFrame(nn.Module):
    """Layers that process each frame alone."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, frames: Frames) -> Float[Tensor, "b t d y x"]:
        """All frames at once, as entries of the batch."""
        flat = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.layers(flat).unflatten(0, frames.shape[:2])

    def start(self, batch: int) -> State:
        """No state."""
        return {}

    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b d y x"], State]:
        """One more frame."""
        return self.layers(frame), {}


@runtime_checkable
class Streamed(Protocol):
    """A layer that processes all frames at once, or frame by frame."""

    def start(self, batch: int) -> State:
        """The state before the first frame."""

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """The output for one more frame, and the state for the next."""


class Chain(nn.ModuleList):
    """Streamed layers one after the other, with a shortcut around them if `shortcut`."""

    def __init__(self, layers: Sequence[nn.Module], shortcut: bool = False) -> None:
        super().__init__(layers)
        self.shortcut = shortcut

    def forward(self, frames: Frames) -> Float[Tensor, "b t d y x"]:
        """All frames at once."""
        out = frames
        for layer in self:
            out = layer(out)
        return frames + out if self.shortcut else out

    def start(self, batch: int) -> State:
        """The state before the first frame."""
        return {f"{i}.{key}": value for i, layer in self._streamed() for key, value in layer.start(batch).items()}

    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b d y x"], State]:
        """One more frame."""
        out, after = frame, State()
        for i, layer in self._streamed():
            out, kept = layer.step(out, _under(f"{i}.", state))
            after |= {f"{i}.{key}": value for key, value in kept.items()}
        return (frame + out if self.shortcut else out), after

    def _streamed(self) -> Iterator[tuple[int, Streamed]]:
        for i, layer in enumerate(self):
            assert isinstance(layer, Streamed)
            yield i, layer


def _under(prefix: str, state: State) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


class CausalMobile(StreamingNetwork):
    """Mobile inverted bottlenecks with causal filters over time.

    Args:
        spec: the input; a stream's frames have its size.
        num_classes: length of the logits.
        stem: channels, kernel and stride of the first convolution.
        stages: see `StageShape`.
        head: channels of the last convolution, and features.
        memory: length of the running means in frames; None is half a clip.
        dropout: before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        stem: tuple[int, int, int] = (8, 3, 2),
        stages: Sequence[StageShape] = (),
        head: tuple[int, int] = (480, 2048),
        memory: int | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(spec, head[1], num_classes, dropout)
        memory = max(spec.clip_len // 2, 2) if memory is None else memory
        channels, kernel, stride = stem
        self.stem = PerFrame(*_conv(spec.num_channels, channels, kernel, stride), nn.Hardswish())
        sizes = _shrunk(spec.size, stride)
        self.blocks = nn.ModuleList()
        for shape in stages:
            stage, sizes = _stage(channels, shape, sizes, memory)
            self.blocks.append(stage)
            channels = shape[0]
        self.project = PerFrame(*_conv(channels, head[0], 1), nn.Hardswish())
        self.mean = RunningMean(memory)
        self.hidden = nn.Sequential(nn.Linear(head[0], head[1]), nn.Hardswish())
        init_he(nn.ModuleList([self.stem, self.blocks, self.project, self.hidden]))

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Features after the last frame."""
        return self.hidden(self._means(clip)[:, -1])

    def frame_logits(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t classes"]:
        """Logits after each frame."""
        return self.classifier(self.dropout(self.hidden(self._means(clip))))

    def start(self, batch: int = 1) -> State:
        """Buffers of zeros, one for each filter over time; running means."""
        mean = self.mean.start(batch, self.hidden[0].in_features, self.hidden[0].weight)  # type: ignore[arg-type]
        return {**_named("trunk", self._trunk().start(batch)), **_named("readout", mean)}

    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b classes"], State]:
        """Logits after one more frame."""
        out, trunk = self._trunk().step(frame, _under("trunk.", state))
        readout = self.mean.step(out.mean(dim=(2, 3)), _under("readout.", state))
        logits = self.classifier(self.dropout(self.hidden(readout["mean"])))
        return logits, {**_named("trunk", trunk), **_named("readout", readout)}

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem, the stages of bottlenecks, the last convolution, the hidden layer."""
        blocks = [(f"stage{number}", stage) for number, stage in enumerate(self.blocks, 1)]
        return [("stem", self.stem), *blocks, ("project", self.project), ("hidden", self.hidden)]

    def _trunk(self) -> Chain:
        return Chain([self.stem, *self.blocks, self.project])

    def _means(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t f"]:
        return self.mean(self._trunk()(clip.transpose(1, 2)).mean(dim=(3, 4)))


def _named(prefix: str, state: State) -> State:
    return {f"{prefix}.{key}": value for key, value in state.items()}


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(outputs)


def _shrunk(sizes: Sizes, stride: int) -> Sizes:
    return math.ceil(sizes[0] / stride), math.ceil(sizes[1] / stride)


def _stage(inputs: int, shape: StageShape, sizes: Sizes, memory: int) -> tuple[Chain, Sizes]:
    outputs, expanded, kernels, stride = shape
    sizes = _shrunk(sizes, stride)
    blocks: list[nn.Module] = []
    for number, (width, kernel) in enumerate(zip(expanded, kernels, strict=True)):
        before, step = (outputs, 1) if number else (inputs, stride)
        blocks.append(_bottleneck((before, width, outputs), kernel, step, sizes, memory))
    return Chain(blocks), sizes


def _bottleneck(
    channels: tuple[int, int, int], kernel: tuple[int, int], stride: int, sizes: Sizes, memory: int
) -> Chain:
    """Expand channels, filter over space, filter over time, squeeze-and-excite, reduce channels."""
    inputs, width, outputs = channels
    length, side = kernel
    grown, space = _conv(inputs, width, 1), _conv(width, width, side, stride, groups=width)
    layers: list[nn.Module] = [PerFrame(*grown, nn.Hardswish(), *space, nn.Hardswish())]
    if length > 1:
        layers += [TemporalConv(width, length, sizes), PerFrame(nn.BatchNorm2d(width), nn.Hardswish())]
    layers += [Excitation(width, max(8, width // 4), memory), PerFrame(*_conv(width, outputs, 1))]
    return Chain(layers, shortcut=stride == 1 and inputs == outputs)


_PAPER = "after Kondratyuk et al. 2021, MoViNets: Mobile Video Networks for Efficient Video Recognition"
INPUT = InputSpec(clip_len=50, frame_stride=1, fps=5.0, size=(172, 172))
SMALL_INPUT = InputSpec(clip_len=16, size=(96, 96), sampling="spread")
_A0: dict[str, object] = {
    "stages": (
        (8, (24,), ((1, 5),), 2),
        (32, (80, 80, 80), ((3, 3),) * 3, 2),
        (56, (184, 112, 184), ((5, 3), (3, 3), (3, 3)), 2),
        (56, (184, 184, 184, 184), ((5, 3), (3, 3), (3, 3), (3, 3)), 1),
        (104, (384, 280, 280, 344), ((5, 3), (1, 5), (1, 5), (1, 5)), 2),
    )
}
_SMALL: dict[str, object] = {
    "stem": (16, 7, 4),
    "stages": ((32, (48, 96), ((3, 3),) * 2, 2), (64, (96, 192, 192), ((3, 3), (3, 3), (5, 3)), 2)),
    "head": (192, 256),
}

VARIANTS: dict[str, Variant] = {
    "causal_a0": Variant(CausalMobile, _A0, INPUT, _PAPER, note="MoViNet-like, for live video: frame by frame"),
    "causal_small": Variant(CausalMobile, _SMALL, SMALL_INPUT, _PAPER, note="for live video on a CPU: frame by frame"),
}
