"""A 2-D network on each frame and a recurrent layer over its features (Donahue et al. 2015, Ng et al. 2015).

LSTM, GRU or plain recurrence joins the features of any number of frames in order. With one direction the network is
causal: it can run frame by frame and has logits after each. With two directions it needs the whole clip, but its logits
for a frame use later frames too.
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

    Initial input weights are Glorot and Bengio's (2010), recurrent ones orthogonal; the forget gates of an LSTM start open
    (Jozefowicz et al. 2015), so that gradients reach early frames from the beginning.

    Args:
        cell: "lstm", "gru", or "rnn" (tanh).
        inputs: length of the vectors.
        hidden: units of each layer and direction.
        layers: number of stacked layers.
        bidirectional: each layer also runs backwards in time.
        dropout: between the layers while training.
    """

    def __init__(
        self, cell: Cell, inputs: int, hidden: int, layers: int = 1, bidirectional: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if cell not in _CELLS:
            raise ValueError(f"a cell is one of {', '.join(_CELLS)}, got {cell=}")
        if min(hidden, layers) < 1:
            raise ValueError(f"need at least one unit and layer, got {hidden=}, {layers=}")
        between = dropout if layers > 1 else 0.0
        self.rnn = _CELLS[cell](
            inputs, hidden, layers, batch_first=True, bidirectional=bidirectional, dropout=between
        )  # fmt: skip
        self.names = ("h", "c") if cell == "lstm" else ("h",)
        self.shape = (layers, hidden)
        self.feature_dim = hidden * (2 if bidirectional else 1)
        for name, weight in self.rnn.named_parameters():
            init = nn.init.xavier_uniform_ if "weight_ih" in name else nn.init.orthogonal_
            if "weight" in name:
                for gate in torch.split(weight.data, hidden):
                    init(gate)
            else:
                nn.init.zeros_(weight)
                if cell == "lstm" and "bias_ih" in name:
                    weight.data[hidden : 2 * hidden] = 1.0  # gates are in the order input, forget, cell, output

    def forward(
        self, vectors: Float[Tensor, "b t f"], lengths: Int[Tensor, " b"] | None = None
    ) -> tuple[Float[Tensor, "b t u"], Float[Tensor, "b u"]]:
        """The top layer's states at each time, and its final states: after the last vector, backwards after the first."""
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
        """Zeros as the state before the first vector, on the device and in the dtype of `like`."""
        return {name: like.new_zeros(batch, *self.shape) for name in self.names}

    def step(self, vector: Float[Tensor, "b f"], state: State) -> tuple[Float[Tensor, "b u"], State]:
        """The top layer's state after one more vector, and the state for the next; for layers of one direction."""
        before = tuple(state[name].transpose(0, 1).contiguous() for name in self.names)
        states, after = self.rnn(vector[:, None], before if len(before) == 2 else before[0])
        after = after if isinstance(after, tuple) else (after,)
        return states[:, 0], {name: value.transpose(0, 1) for name, value in zip(self.names, after, strict=True)}


class RecurrentNetwork(JoinedNetwork, FramewiseNetwork):
    """A frame network and recurrent layers; subclasses set the directions in time.

    Args:
        spec: the input.
        num_classes: length of the logits; None keeps the frame network's number of classes.
        backbone: the frame network.
        cell: "lstm", "gru", or "rnn" (tanh).
        hidden: units of each recurrent layer and direction.
        layers: recurrent layers.
        readout: input of the classifier: the "last" state, or the "mean" or "max" over time.
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
        """Logits at each frame."""
        return self.classifier(self.dropout(self.join_frames(self.encode(clip))))

    def frame_parts(self) -> FrameParts:
        """The frame network, and the recurrent layers."""
        return FrameParts(lambda frames: self.encode(frames)[:, 0], self.join, self.join_frames)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the frame network, then the recurrent layers."""
        return [*self.backbone.stages(), ("recurrence", self.recurrence)]


class CnnRnn(RecurrentNetwork, StreamingNetwork):
    """Forwards in time only, for live streams; arguments as for `RecurrentNetwork`."""

    def join_frames(self, encoded: Float[Tensor, "b t f"]) -> Float[Tensor, "b t u"]:
        """The state after each frame, or the mean or maximum of the states so far."""
        return RunningReadout(self.readout).all(self.recurrence(encoded)[0])

    def start(self, batch: int = 1) -> State:
        """Zeros, and the empty readout."""
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

    The "last" state is that after the last frame, concatenated with that of the backward layers after the first.
    """

    bidirectional = True


_PAPER = "Donahue et al. 2015, Ng et al. 2015"
_INPUT = InputSpec(clip_len=16, size=(224, 224), sampling="spread")
_SMALL_INPUT = InputSpec(clip_len=16, size=(96, 96), sampling="spread")
_SMALL = {"backbone": SmallFrames(), "hidden": 128, "dropout": 0.2}


def _on_backbone(network: type[RecurrentNetwork], cell: Cell, note: str) -> Variant:
    return Variant(
        None, {}, _INPUT, _PAPER, on_backbone=network, backbone="resnet50", backbone_arguments={"cell": cell}, note=note
    )


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
