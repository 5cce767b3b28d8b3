"""The frame network of a network that looks at each frame alone, as an OpenVINO graph of its own: pixels in, vectors out.

It is converted, kept and held against torch as the graphs of whole networks are (see `engine`), but only when windows
share frames for the first time. torch joins: that is next to no work.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from kinema.engines.cache import kept_graph
from kinema.engines.openvino import compile_graph, to_openvino
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import FrameScorer, Scorer, to_scores
from kinema.engines.trace import cannot_convert, quiet
from kinema.errors import KinemaError, OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.export import ExportedProgram

    from kinema.models.network import FrameParts, Network
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


class FrameGraph:
    """Encodes frames: with OpenVINO, or with torch where that cannot be, which the log says once.

    Args:
        scorer: the network in torch.
        parts: its two steps.
        card: says whether scores are sigmoids.
        key: names what the network's graphs depend on; called when the first frames come.
        tolerance: by how much a score may differ from torch's in float32.
    """

    def __init__(
        self, scorer: Scorer, parts: FrameParts, card: ModelCard, key: Callable[[], str], tolerance: float
    ) -> None:
        self._scorer, self._parts, self._card, self._key, self._tolerance = scorer, parts, card, key, tolerance
        self._lock = threading.Lock()
        self._encode: Callable[[Tensor], NDArray[np.float32]] | None = None

    def __call__(self, frames: UInt8[Tensor, "n c 1 h w"]) -> NDArray[np.float32]:
        """A vector [n f] for each frame."""
        with self._lock:
            if self._encode is None:
                self._encode = self._open()
        return self._encode(frames)

    def _open(self) -> Callable[[Tensor], NDArray[np.float32]]:
        name = self._scorer.network.variant
        key = hashlib.sha256(f"{self._key()} frames".encode()).hexdigest()[:32]
        try:
            model = kept_graph(key, self._convert, f"{name}, frame by frame,")
            return partial(self._run, compile_graph(model, self._scorer.precision))
        except (KinemaError, RuntimeError) as error:
            log.warning("engine: torch, not OpenVINO, where windows share frames; %s", error)
            return FrameScorer(self._scorer, self._parts).encode

    def _run(self, graph: Any, frames: Tensor) -> NDArray[np.float32]:
        size = self._scorer.batch_size * self._scorer.spec.clip_len
        return np.concatenate([graph([part.contiguous().numpy()])[0] for part in torch.split(frames, size)])

    def _convert(self) -> Any:
        """A new graph, held against torch.

        Raises:
            OutputError: it cannot be made, or its scores are others.
        """
        scorer, network = self._scorer, self._scorer.network
        model = to_openvino(_trace(network, self._parts), network.variant, "features")
        clips = probe_clips(scorer.spec, 3)
        encoded = self._run(compile_graph(model, scorer.precision), rearrange(clips, "b c t h w -> (b t) c 1 h w"))
        by_frame = FrameScorer(scorer, self._parts).logits(torch.from_numpy(encoded.reshape(3, -1, encoded.shape[-1])))
        exact = Scorer(network, task=scorer.task, device="cpu", precision="f32")(clips)
        found, expected = (to_scores(logits, self._card.multi_label) for logits in (by_frame, exact))
        difference = float(np.abs(found - expected).max())
        if not difference <= self._tolerance:
            what = f"OpenVINO's scores differ from torch's by {difference:.2g}, more than {self._tolerance:g}"
            do = "use --precision f32 or --engine torch"
            raise OutputError(what, f"{network.variant} frame by frame, {scorer.precision}", do)
        return model


class _Frames(nn.Module):
    """From pixels to what the frame network makes of them; the network's weights are reached through it."""

    def __init__(self, network: Network, parts: FrameParts) -> None:
        super().__init__()
        self.network, self.parts = network, parts
        self.mean = nn.Buffer(torch.tensor(network.spec.mean).mul(255).view(-1, 1, 1, 1))
        self.std = nn.Buffer(torch.tensor(network.spec.std).mul(255).view(-1, 1, 1, 1))

    def forward(self, frames: UInt8[Tensor, "n c 1 h w"]) -> Float[Tensor, "n f"]:
        return self.parts.encode((frames.to(torch.float32) - self.mean) / self.std)


def _trace(network: Network, parts: FrameParts) -> ExportedProgram:
    frames = torch.zeros(2, network.spec.num_channels, 1, *network.spec.size, dtype=torch.uint8)
    try:
        with torch.no_grad(), quiet():
            graph = _Frames(network, parts).eval()
            return torch.export.export(graph, (frames,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    except Exception as error:
        raise cannot_convert(network.variant, "a graph of single frames", error) from error
