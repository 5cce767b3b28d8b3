"""A 2-D network on each frame, a recurrent layer over what it saw (Donahue et al. 2015, Ng et al. 2015).

The frame network says what is there, LSTM, GRU or plain recurrence how it changes, over any number of frames and in
order. In one direction the network is causal: it can go on frame by frame and answer at each. In two it has to have
seen the clip, but knows what follows when it answers for a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kinema.models.backbone import BackboneSource
from kinema.models.fusion import pool_time
from kinema.models.layers.readout import Readout, RunningReadout, check_readout
from kinema.models.layers.small_frames import SmallFrames
from kinema.models.network import FrameParts, FramewiseNetwork, JoinedNetwork, State, StreamingNetwork
from kinema.models.variant import Variant
from kinema.types import InputSpec

Cell = Literal["lstm", "gru", "rnn"]
_CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Recurrence(nn.Module):
    """Recurrent layers over vectors in order of time.

    Input weights start as Glorot and Bengio's (2010), recurrent ones orthogonal, and the forget gates of an LSTM open
    (Jozefowicz et al. 2015), so that it remembers before it has learned what to.

    Args:
        cell: "lstm", "gru", or "rnn" (tanh).
        inputs: length of the vectors.
        hidden: units of each layer and direction.
        layers: how many, one on the other.
        bidirectional: a second one in each layer runs backwards in time.
        dropout: between the layers while training.
    """

    def __init__(
        self, cell: Cell, inputs: int, hidden: int, layers: int = 1, bidirectional: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if cell not in _CELLS:
            raise ValueError(f"a cell is one of {', '.join(_CELLS)}, got {cell=}")
        if min(hidden, layers) < 1:
            raise ValueError(f"there is at least one unit and layer, got {hidden=}, {layers=}")
        between = dropout if layers > 1 else 0.0
        self.rnn = _CELLS[cell](
            inputs, hidden, layers, batch_first=True, bidirectional=bidirectional, dropout=between
        )  # fmt: skip
        self.names = ("h", "c") if cell == "lstm" else ("h",)
        self.shape = (layers, hidden)
        self.feature_dim = hidden * (2 if bidirectional else 1)
        _init(self.rnn)

    def forward(
        self, vectors: Float[Tensor, "b t f"], lengths: Int[Tensor, " b"] | None = None
    ) -> tuple[Float[Tensor, "b t u"], Float[Tensor, "b u"]]:
        """The top layer's states at each time, and at its end: after the last vector, and backwards after the first."""
        if lengths is None:
            states, last = self.rnn(vectors)
        else:
            packed = pack_padded_sequence(vectors, lengths.cpu(), batch_first=True, enforce_sorted=False)
            packed_states, last = self.rnn(packed)
            states, _ = pad_packed_sequence(packed_states, batch_first=True, total_length=vectors.shape[1])
        ends = last[0] if isinstance(last, tuple) else last
        directions = 2 if self.rnn.bidirectional else 1
        return states, rearrange(ends[-directions:], "d b u -> b (d u)")

    def start(self, like: Tensor, batch: int) -> State:
        """What the layers know before the first vector: nothing; on the device and in the format of `like`."""
        return {name: like.new_zeros(batch, *self.shape) for name in self.names}

    def step(self, vector: Float[Tensor, "b f"], state: State) -> tuple[Float[Tensor, "b u"], State]:
        """The top layer after one more vector, and the state for the next; for layers of one direction."""
        before = tuple(state[name].transpose(0, 1).contiguous() for name in self.names)
        states, after = self.rnn(vector[:, None], before if len(before) == 2 else before[0])
        after = after if isinstance(after, tuple) else (after,)
        return states[:, 0], {name: value.transpose(0, 1) for name, value in zip(self.names, after, strict=True)}


def _init(rnn: nn.RNNBase) -> None:
    for name, weight in rnn.named_parameters():
        if "weight_ih" in name:
            for gate in torch.split(weight.data, rnn.hidden_size):
                nn.init.xavier_uniform_(gate)
        elif "weight_hh" in name:
            for gate in torch.split(weight.data, rnn.hidden_size):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(weight)
            if isinstance(rnn, nn.LSTM) and "bias_ih" in name:
                weight.data[rnn.hidden_size : 2 * rnn.hidden_size] = 1.0  # gates run input, forget, cell, output


class RecurrentNetwork(JoinedNetwork, FramewiseNetwork):
    """A frame network and recurrent layers; subclasses say in which direction of time.

    Args:
        spec: the input.
        num_classes: length of the logits; None keeps the frame network's number of classes.
        backbone: opens the frame network.
        cell: "lstm", "gru", or "rnn" (tanh).
        hidden: units of each recurrent layer and direction.
        layers: recurrent layers.
        readout: what the classifier sees of a clip: the "last" state, or the "mean" or "max" over all times.
        dropout: between recurrent layers and before the classifier.
    """

    num_head_stages = 1
    join_arguments = ("cell", "hidden", "layers", "readout", "dropout")
    bidirectional = False

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int | None,
        backbone: BackboneSource | SmallFrames,
        cell: Cell = "lstm",
        hidden: int = 512,
        layers: int = 1,
        readout: Readout = "last",
        dropout: float = 0.5,
    ) -> None:
        frames = backbone.open(spec.size)
        recurrence = Recurrence(cell, frames.feature_dim, hidden, layers, self.bidirectional, dropout)
        super().__init__(spec, recurrence.feature_dim, num_classes or frames.num_classes, dropout)
        self.backbone = frames
        self.recurrence = recurrence
        self.readout = check_readout(readout)

    def encode(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t f"]:
        """Features of each frame."""
        frames = self.backbone(rearrange(clip, "b c t h w -> (b t) c h w"))
        return rearrange(frames, "(b t) f -> b t f", b=clip.shape[0])

    def join(self, encoded: Float[Tensor, "b t f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b u"]:
        """The recurrent layers' last state, or the mean or maximum of all."""
        states, last = self.recurrence(encoded, lengths)
        return last if self.readout == "last" else pool_time(states, self.readout, lengths)

    def join_frames(self, encoded: Float[Tensor, "b t f"]) -> Float[Tensor, "b t u"]:
        """The state at each frame."""
        return self.recurrence(encoded)[0]

    def frame_logits(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t classes"]:
        """Logits of what `join_frames` gives."""
        return self.classifier(self.dropout(self.join_frames(self.encode(clip))))

    def frame_parts(self) -> FrameParts:
        """The frame network, and the recurrent layers."""
        return FrameParts(lambda frames: self.encode(frames)[:, 0], self.join, self.join_frames)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the frame network, then the recurrent layers."""
        return [*self.backbone.stages(), ("recurrence", self.recurrence)]


class CnnRnn(RecurrentNetwork, StreamingNetwork):
    """Forwards in time only, so that it can follow a stream; arguments as for `RecurrentNetwork`."""

    def join_frames(self, encoded: Float[Tensor, "b t f"]) -> Float[Tensor, "b t u"]:
        """After each frame the state, or the mean or maximum of the states so far."""
        return RunningReadout(self.readout).all(self.recurrence(encoded)[0])

    def start(self, batch: int = 1) -> State:
        """Empty memories."""
        weight = next(self.recurrence.parameters())
        states = self.recurrence.start(weight, batch)
        return states | RunningReadout(self.readout).start(weight.new_zeros(batch, self.feature_dim))

    def step(self, frame: Float[Tensor, "b c h w"], state: State) -> tuple[Float[Tensor, "b classes"], State]:
        """Logits after one more frame."""
        hidden, states = self.recurrence.step(self.encode(frame[:, :, None])[:, 0], state)
        read, so_far = RunningReadout(self.readout).step(hidden, state)
        return self.classifier(self.dropout(read)), states | so_far


class CnnBiRnn(RecurrentNetwork):
    """Forwards and backwards in time; arguments as for `RecurrentNetwork`.

    The "last" state is that after the last frame, beside that of the backward layers after the first.
    """

    bidirectional = True


_PAPER = "Donahue et al. 2015, Ng et al. 2015"
_INPUT = InputSpec(clip_len=16, size=(224, 224), sampling="spread")
_SMALL_INPUT = InputSpec(clip_len=16, size=(96, 96), sampling="spread")
_SMALL = {"backbone": SmallFrames(), "hidden": 128, "dropout": 0.2}


def _on_backbone(network: type[RecurrentNetwork], cell: Cell, note: str) -> Variant:
    return Variant(
        builder=None, arguments={}, input=_INPUT, paper=_PAPER, on_backbone=network, backbone="resnet50",
        backbone_arguments={"cell": cell}, note=note,
    )  # fmt: skip


def _small(network: type[RecurrentNetwork], cell: Cell, note: str) -> Variant:
    return Variant(builder=network, arguments={**_SMALL, "cell": cell}, input=_SMALL_INPUT, paper=_PAPER, note=note)


VARIANTS: dict[str, Variant] = {
    "cnn_lstm": _on_backbone(CnnRnn, "lstm", "any frame network, then an LSTM; follows a stream"),
    "cnn_gru": _on_backbone(CnnRnn, "gru", "any frame network, then a GRU; follows a stream"),
    "cnn_rnn": _on_backbone(CnnRnn, "rnn", "any frame network, then plain recurrence; follows a stream"),
    "cnn_bilstm": _on_backbone(CnnBiRnn, "lstm", "any frame network, then an LSTM in both directions"),
    "cnn_lstm_small": _small(CnnRnn, "lstm", "for a CPU; follows a stream"),
    "cnn_gru_small": _small(CnnRnn, "gru", "for a CPU; follows a stream"),
    "cnn_rnn_small": _small(CnnRnn, "rnn", "for a CPU; follows a stream"),
    "cnn_bilstm_small": _small(CnnBiRnn, "lstm", "for a CPU, in both directions"),
}
