"""OpenVINO graph of the frame network of a network that encodes each frame alone: pixels in, vectors out.

The graph is converted, cached and compared with torch like the graphs of whole networks, see
`kinema.engines.backends.openvino`, but not before windows share frames for the first time. Joining the vectors costs little
and stays in torch.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from kinema.engines.cache import cached_graph
from kinema.engines.openvino import compile_graph, to_openvino
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import FrameScorer, Scorer, to_scores
from kinema.engines.trace import cannot_convert, quiet
from kinema.errors import KinemaError, OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from openvino import CompiledModel, Model

    from kinema.models.network import FrameParts, Network
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


class FrameGraph:
    """Encodes frames with OpenVINO, or with torch if the conversion fails, which is logged once.

    Args:
        scorer: the network in torch.
        parts: its frame network and the function that joins vectors.
        card: says whether scores are sigmoids.
        key: gives the cache key of the whole network; called at the first frames.
        tolerance: largest allowed difference of a score from torch in float32.
    """

    def __init__(
        self, scorer: Scorer, parts: FrameParts, card: ModelCard, key: Callable[[], str], tolerance: float
    ) -> None:
        self._scorer, self._parts, self._card, self._key, self._tolerance = scorer, parts, card, key, tolerance
        self._lock = threading.Lock()
        self._encode: Callable[[Tensor], NDArray[np.float32]] | None = None

    def __call__(self, frames: UInt8[Tensor, "n c 1 h w"]) -> NDArray[np.float32]:
        """A vector [n f] of each frame."""
        with self._lock:
            if self._encode is None:
                key = hashlib.sha256(f"{self._key()} frames".encode()).hexdigest()[:32]
                try:
                    model = cached_graph(key, self._convert, f"{self._scorer.network.variant}, frame by frame,")
                    self._encode = partial(self._run, compile_graph(model, self._scorer.precision))
                except (KinemaError, RuntimeError) as error:
                    log.warning("engine: torch, not OpenVINO, where windows share frames; %s", error)
                    in_torch = self._scorer.frame_scorer()
                    assert in_torch is not None  # the network has frame parts
                    self._encode = in_torch.encode
        return self._encode(frames)

    def _run(self, graph: CompiledModel, frames: Tensor) -> NDArray[np.float32]:
        size = self._scorer.batch_size * self._scorer.spec.clip_len
        return np.concatenate([graph([part.contiguous().numpy()])[0] for part in torch.split(frames, size)])

    def _convert(self) -> Model:
        """Convert the frame network and compare scores with torch.

        Raises:
            OutputError: the conversion fails, or scores differ by more than the tolerance.
        """
        scorer, network = self._scorer, self._scorer.network
        example = torch.zeros(2, network.spec.num_channels, 1, *network.spec.size, dtype=torch.uint8)
        try:
            with torch.no_grad(), quiet():
                graph = _FramePixels(network, self._parts).eval()
                program = torch.export.export(graph, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        except Exception as error:
            raise cannot_convert(network.variant, "a graph of single frames", error) from error
        model = to_openvino(program, network.variant, "features")
        clips = probe_clips(scorer.spec, 3)
        encoded = self._run(compile_graph(model, scorer.precision), rearrange(clips, "b c t h w -> (b t) c 1 h w"))
        by_frame = FrameScorer(scorer, self._parts).logits(torch.from_numpy(encoded.reshape(3, -1, encoded.shape[-1])))
        exact = Scorer(network, task=scorer.task, device="cpu", precision="f32")(clips)
        found, expected = (to_scores(logits, self._card.multi_label) for logits in (by_frame, exact))
        difference = float(np.abs(found - expected).max())
        if not difference <= self._tolerance:  # also true for NaN
            what = f"OpenVINO's scores differ from torch's by {difference:.2g}, more than {self._tolerance:g}"
            do = "use --precision f32 or --engine torch"
            raise OutputError(what, f"{network.variant} frame by frame, {scorer.precision}", do)
        return model


class _FramePixels(nn.Module):
    """Normalisation and frame network; the network is a submodule, so that its weights are part of the graph."""

    def __init__(self, network: Network, parts: FrameParts) -> None:
        super().__init__()
        self.network, self.parts = network, parts
        self.mean = nn.Buffer(torch.tensor(network.spec.mean).mul(255).view(-1, 1, 1, 1))
        self.std = nn.Buffer(torch.tensor(network.spec.std).mul(255).view(-1, 1, 1, 1))

    def forward(self, frames: UInt8[Tensor, "n c 1 h w"]) -> Float[Tensor, "n f"]:
        return self.parts.encode((frames.to(torch.float32) - self.mean) / self.std)
