"""A network as one graph from pixels to scores: what exported files hold, and what other engines run.

Normalisation is part of the graph, so that a program that runs it needs no mean and no deviation: it gives the bytes of
a decoder. The number of clips is left open; their length and size are the network's.
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

    from kinema.models.network import Network, StepNetwork
    from kinema.weights.checkpoint import ModelCard

Ending = Literal["logits", "scores"]


class PixelGraph(nn.Module):
    """A network that takes pixels.

    Args:
        network: in evaluation mode.
        card: says whether it is asked at each frame, and whether scores are sigmoids or a softmax.
        ending: what comes out.
    """

    def __init__(self, network: Network, card: ModelCard, ending: Ending) -> None:
        super().__init__()
        self.network, self.per_frame = network, card.task == "frame"
        scores = nn.Sigmoid() if card.multi_label else nn.Softmax(dim=-1)
        self.ending = scores if ending == "scores" else nn.Identity()
        self.mean = nn.Buffer(torch.tensor(network.spec.mean).mul(255).view(-1, 1, 1, 1))
        self.std = nn.Buffer(torch.tensor(network.spec.std).mul(255).view(-1, 1, 1, 1))

    def forward(self, clip: UInt8[Tensor, "b c t h w"]) -> Float[Tensor, "b *t classes"]:
        """Logits or scores [b classes]; [b t classes] of a network that is asked at each frame."""
        pixels = (clip.to(torch.float32) - self.mean) / self.std
        logits = cast("StepNetwork", self.network).step_logits(pixels) if self.per_frame else self.network(pixels)
        return self.ending(logits)


def trace(network: Network, card: ModelCard, ending: Ending, *, static_batch: bool = False) -> ExportedProgram:
    """The graph of a network, for any number of clips, or for one with `static_batch`.

    Args:
        network: on the CPU, in evaluation mode; it is left as it is.
        card: see `PixelGraph`.
        ending: see `PixelGraph`.
        static_batch: for programs that cannot run graphs of open shape.

    Raises:
        OutputError: it takes decisions that depend on what it sees, which no graph can hold.
    """
    graph = PixelGraph(prune(network), card, ending).eval()
    clips = torch.zeros(1 if static_batch else 2, *network.spec.shape, dtype=torch.uint8)
    dims = None if static_batch else ({0: torch.export.Dim.DYNAMIC},)
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(graph, (clips,), dynamic_shapes=dims)
    except Exception as error:
        raise cannot_convert(network.variant, "a graph", error) from error


def cannot_convert(name: str, target: str, error: Exception) -> OutputError:
    """What went wrong in one line; libraries say it on fifty."""
    log = logging.getLogger("kinema")
    log.debug("converting %s failed", name, exc_info=error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    do = "use the checkpoint itself, or another format"
    return OutputError(f"cannot be made into {target} ({type(error).__name__}: {lines[0][:200]})", name, do)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what converters say of their own workings from the user.

    torch warns that recurrent layers hold their weights twice. OpenVINO logs to the root logger through functions that
    would give it a handler for good.
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
