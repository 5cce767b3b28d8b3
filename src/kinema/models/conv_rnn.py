"""Recurrent convolutional networks: the recurrent state of each layer is a map (Ballas et al. 2016).

A layer's map at time t comes from two convolutions: one over the map of the layer below at the same time, one over its
own map of the previous time. The first layers, which have full resolution, thus see motion, and the number of frames is
free. The cell is plain recurrence with tanh, a GRU, or an LSTM (Shi et al. 2015); on 1 x 1 maps each equals torch's cell
of that name, gate by gate. (The GRU resets the previous map after its convolution, as torch and cuDNN do; Ballas et al.
reset it before.)

The convolution over the layer below does not depend on the past: it runs for all frames at once, with batch norm
(Laurent et al. 2016), and the loop over time contains the recurrent convolution alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.layers.readout import Readout, RunningReadout, check_readout
from kinema.models.network import State, StreamingNetwork, init_he
from kinema.models.variant import Variant
from kinema.types import InputSpec

Map = Float[Tensor, "b u y x"]
Gates = Float[Tensor, "b g y x"]


class ConvCell(nn.Module):
    """One layer: from the map of the layer below and its own previous map to its new map.

    Args:
        inputs: channels of the layer below.
        units: its own channels.
        kernel: size of both convolutions, odd.
        stride: of the convolution over the layer below.
        norm: batch norm after that convolution.
    """

    num_gates: ClassVar[int]
    num_maps: ClassVar[int] = 1
    """Number of maps in the state; the first is the output of the layer."""

    def __init__(self, inputs: int, units: int, kernel: int = 3, stride: int = 1, norm: bool = False) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"the kernel must be odd, so that a map keeps its size, got {kernel=}")
        gates = self.num_gates * units
        self.units, self.stride = units, stride
        self.input = nn.Conv2d(inputs, gates, kernel, stride, kernel // 2, bias=not norm)
        self.norm: nn.Module = nn.BatchNorm2d(gates) if norm else nn.Identity()
        self.recurrent = nn.Conv2d(units, gates, kernel, 1, kernel // 2)
        for gate in torch.split(self.recurrent.weight.data, units):
            nn.init.orthogonal_(gate)
        nn.init.zeros_(self.recurrent.bias)  # type: ignore[arg-type]

    def below(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n g y x"]:
        """Input of the gates from the layer below, for any number of frames at once."""
        return self.norm(self.input(maps))

    @abstractmethod
    def advance(self, below: Gates, memory: tuple[Map, ...]) -> tuple[Map, ...]:
        """The state after one more frame."""

    def start(self, like: Float[Tensor, "b c y x"]) -> tuple[Map, ...]:
        """Zeros as the first state, with the size, device and dtype of `like`."""
        return (like.new_zeros(like.shape[0], self.units, *like.shape[2:]),) * self.num_maps

    def forward(self, frames: Float[Tensor, "tb c h w"], num_frames: int) -> Float[Tensor, "tb u y x"]:
        """Its map after each frame. Time is the outer axis of the batch, so that the maps of one time are contiguous."""
        below = rearrange(self.below(frames), "(t b) g y x -> t b g y x", t=num_frames).unbind()
        memory = self.start(below[0])
        outputs = []
        for now in below:
            memory = self.advance(now, memory)
            outputs.append(memory[0])
        return torch.cat(outputs)


class ConvRnnCell(ConvCell):
    """h = tanh(W * x + U * h)."""

    num_gates = 1

    def advance(self, below: Gates, memory: tuple[Map, ...]) -> tuple[Map, ...]:
        """See `ConvCell`."""
        return (torch.tanh(below + self.recurrent(memory[0])),)


class ConvGruCell(ConvCell):
    """Gates in torch's order: reset, update, new."""

    num_gates = 3

    def advance(self, below: Gates, memory: tuple[Map, ...]) -> tuple[Map, ...]:
        """See `ConvCell`."""
        (old,) = memory
        reset, update, new = below.chunk(3, dim=1)
        past_reset, past_update, past_new = self.recurrent(old).chunk(3, dim=1)
        new = torch.tanh(new + torch.sigmoid(reset + past_reset) * past_new)
        keep = torch.sigmoid(update + past_update)
        return (torch.lerp(new, old.to(new.dtype), keep),)


class ConvLstmCell(ConvCell):
    """Gates in torch's order: input, forget, cell, output; the forget gate starts open. No peepholes."""

    num_gates = 4
    num_maps = 2

    def __init__(self, inputs: int, units: int, kernel: int = 3, stride: int = 1, norm: bool = False) -> None:
        super().__init__(inputs, units, kernel, stride, norm)
        self.recurrent.bias.data[units : 2 * units] = 1.0  # type: ignore[union-attr]

    def advance(self, below: Gates, memory: tuple[Map, ...]) -> tuple[Map, ...]:
        """See `ConvCell`."""
        output, cell = memory
        write, keep, new, read = (below + self.recurrent(output)).chunk(4, dim=1)
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(write) * torch.tanh(new)
        return torch.sigmoid(read) * torch.tanh(cell), cell


CELLS: dict[str, type[ConvCell]] = {"rnn": ConvRnnCell, "gru": ConvGruCell, "lstm": ConvLstmCell}


class ConvRnn(StreamingNetwork):
    """A stem on each frame, then recurrent convolutional layers; each but the first halves height and width.

    Args:
        spec: the input; any length and size.
        num_classes: length of the logits.
        cell: "rnn" (tanh), "gru" or "lstm".
        widths: channels of each recurrent layer.
        kernel: size of their convolutions.
        stem: channels and stride of the stem, 7 x 7 filters with batch norm and ReLU.
        readout: input of the classifier, averaged over space: the "last" map, or the "mean" or "max" over time.
        dropout: before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        cell: Literal["rnn", "gru", "lstm"] = "gru",
        widths: Sequence[int] = (16, 32, 64),
        kernel: int = 3,
        stem: Sequence[int] = (16, 4),
        readout: Readout = "last",
        dropout: float = 0.2,
    ) -> None:
        if cell not in CELLS:
            raise ValueError(f"a cell is one of {', '.join(CELLS)}, got {cell=}")
        super().__init__(spec, widths[-1], num_classes, dropout)
        channels, stride = stem
        conv = nn.Conv2d(spec.num_channels, channels, 7, stride, 3, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        init_he(self.stem)
        below = [channels, *widths[:-1]]
        self.stem_stride = stride
        self.layers = nn.ModuleList(
            CELLS[cell](inputs, units, kernel, stride=2 if place else 1, norm=True)
            for place, (inputs, units) in enumerate(zip(below, widths, strict=True))
        )
        self.readout = check_readout(readout)

    @property
    def cells(self) -> list[ConvCell]:
        """The recurrent layers, from input to output."""
        return [cast(ConvCell, layer) for layer in self.layers]

    def states(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t f"]:
        """The top layer after each frame, averaged over space."""
        num_frames = clip.shape[2]
        frames = rearrange(clip, "b c t h w -> (t b) c h w").contiguous(memory_format=torch.channels_last)
        maps = self.stem(frames)
        for layer in self.cells:
            maps = layer(maps, num_frames)
        return rearrange(maps.mean(dim=(2, 3)), "(t b) f -> b t f", t=num_frames)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """The readout after the last frame."""
        return RunningReadout(self.readout).all(self.states(clip))[:, -1]

    def frame_logits(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t classes"]:
        """Logits after each frame."""
        return self.classifier(self.dropout(RunningReadout(self.readout).all(self.states(clip))))

    def start(self, batch: int = 1) -> State:
        """Maps of zeros, of the sizes for frames of `spec.size`."""
        weight = next(self.stem.parameters())
        size = [-(-side // self.stem_stride) for side in self.spec.size]
        state = RunningReadout(self.readout).start(weight.new_zeros(batch, self.feature_dim))
        for number, layer in enumerate(self.cells, 1):
            size = [-(-side // layer.stride) for side in size]
            memory = layer.start(weight.new_zeros(batch, 1, *size))
            state |= {f"layer{number}.{place}": maps for place, maps in enumerate(memory)}
        return state

    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b classes"], State]:
        """Logits after one more frame."""
        maps = self.stem(frame)
        after: State = {}
        for number, layer in enumerate(self.cells, 1):
            names = [f"layer{number}.{place}" for place in range(layer.num_maps)]
            memory = layer.advance(layer.below(maps), tuple(state[name] for name in names))
            after |= dict(zip(names, memory, strict=True))
            maps = memory[0]
        read, kept = RunningReadout(self.readout).step(maps.mean(dim=(2, 3)), state)
        return self.classifier(self.dropout(read)), after | kept

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem and recurrent layers."""
        return [("stem", self.stem), *((f"layer{index + 1}", layer) for index, layer in enumerate(self.layers))]


_INPUT = InputSpec(clip_len=16, size=(96, 96), sampling="spread")


def _variant(cell: str, paper: str, note: str) -> Variant:
    return Variant(builder=ConvRnn, arguments={"cell": cell}, input=_INPUT, paper=paper, note=note)


VARIANTS: dict[str, Variant] = {
    "conv_rnn_small": _variant("rnn", "Ballas et al. 2016, with plain recurrence", "maps with tanh; follows a stream"),
    "conv_gru_small": _variant("gru", "Ballas et al. 2016", "maps with gates; follows a stream"),
    "conv_lstm_small": _variant("lstm", "Shi et al. 2015", "maps with gates and a cell; follows a stream"),
}
