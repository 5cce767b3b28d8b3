"""Readout of a recurrent network: the classifier gets the last state, or the mean or maximum of all states so far.

The result is the same for all states at once and for one state after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.models.network import State

Readout = Literal["last", "mean", "max"]


def check_readout(readout: str) -> Readout:
    """The readout itself.

    Raises:
        ValueError: not one of "last", "mean" and "max".
    """
    if readout not in get_args(Readout):
        raise ValueError(f"a readout is one of {', '.join(get_args(Readout))}, got {readout=}")
    return cast(Readout, readout)


@dataclass(frozen=True, slots=True)
class RunningReadout:
    """The last, mean or maximum of the states so far."""

    readout: Readout

    def all(self, states: Float[Tensor, "b t u"]) -> Float[Tensor, "b t u"]:
        """The readout after each of the states, in order of time."""
        if self.readout == "last":
            return states
        if self.readout == "max":
            return states.cummax(dim=1).values
        counts = torch.arange(1, states.shape[1] + 1, device=states.device, dtype=states.dtype)
        return states.cumsum(dim=1) / counts[:, None]

    def start(self, zeros: Float[Tensor, "b u"]) -> State:
        """What to store before the first state."""
        if self.readout == "last":
            return {}
        if self.readout == "max":
            return {"max": torch.full_like(zeros, -torch.inf)}
        return {"sum": zeros, "count": zeros[:, :1]}

    def step(self, states: Float[Tensor, "b u"], kept: State) -> tuple[Float[Tensor, "b u"], State]:
        """The readout after one more state, and what to store for the next."""
        if self.readout == "last":
            return states, {}
        if self.readout == "max":
            most = torch.maximum(kept["max"], states)
            return most, {"max": most}
        total, count = kept["sum"] + states, kept["count"] + 1
        return total / count, {"sum": total, "count": count}
