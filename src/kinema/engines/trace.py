"""Trace a network to one graph from pixels to logits or scores, for exported files and for OpenVINO.

Normalisation is part of the graph, so a program that runs it passes a decoder's bytes and needs no mean and no deviation. The
number of clips is open; clip length and frame size are those of the network.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from kinema.engines.prune import prune
from kinema.errors import OutputError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from kinema.models.network import FramewiseNetwork, Network
    from kinema.weights.checkpoint import ModelCard

GraphOutput = Literal["logits", "scores"]


class PixelGraph(nn.Module):
    """A network with normalisation before it and, for scores, softmax or sigmoid after it.

    Args:
        network: in evaluation mode.
        card: gives the task, and says whether scores are sigmoids or a softmax.
        output: what the graph returns.
    """

    def __init__(self, network: Network, card: ModelCard, output: GraphOutput) -> None:
        super().__init__()
        self.network, self.per_frame = network, card.task == "frame"
        scores = nn.Sigmoid() if card.multi_label else nn.Softmax(dim=-1)
        self.activation = scores if output == "scores" else nn.Identity()
        self.mean = nn.Buffer(torch.tensor(network.spec.mean).mul(255).view(-1, 1, 1, 1))
        self.std = nn.Buffer(torch.tensor(network.spec.std).mul(255).view(-1, 1, 1, 1))

    def forward(self, clip: UInt8[Tensor, "b c t h w"]) -> Float[Tensor, "b *t classes"]:
        """Logits or scores [b classes]; [b t classes] for task `frame`."""
        pixels = (clip.to(torch.float32) - self.mean) / self.std
        logits = cast("FramewiseNetwork", self.network).frame_logits(pixels) if self.per_frame else self.network(pixels)
        return self.activation(logits)


def trace(network: Network, card: ModelCard, output: GraphOutput, *, static_batch: bool = False) -> ExportedProgram:
    """Trace a network with torch.export.

    Args:
        network: on the CPU, in evaluation mode; it is not changed.
        card: see `PixelGraph`.
        output: see `PixelGraph`.
        static_batch: fix the batch size to one clip, for programs that cannot run graphs with an open batch size.

    Raises:
        OutputError: the network cannot be traced, such as one whose operations depend on the values of a clip.
    """
    graph = PixelGraph(prune(network), card, output).eval()
    clips = torch.zeros(1 if static_batch else 2, *network.spec.shape, dtype=torch.uint8)
    dims = None if static_batch else ({0: torch.export.Dim.DYNAMIC},)
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(graph, (clips,), dynamic_shapes=dims)
    except Exception as error:
        raise cannot_convert(network.variant, "a graph", error) from error


def cannot_convert(name: str, target: str, error: Exception) -> OutputError:
    """An error of one line for a failed conversion; libraries report it on many lines, which go to the debug log."""
    log = logging.getLogger("kinema")
    log.debug("converting %s failed", name, exc_info=error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    do = "use the checkpoint itself, or another format"
    return OutputError(f"cannot be made into {target} ({type(error).__name__}: {lines[0][:200]})", name, do)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and log messages of converters.

    torch warns that recurrent layers hold their weights twice. OpenVINO logs through functions of the module `logging`,
    which add a handler to the root logger if it has none; the null handler here prevents that.
    """
    root, silent = logging.getLogger(), logging.NullHandler()
    before = logging.root.manager.disable
    root.addHandler(silent)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        root.removeHandler(silent)
