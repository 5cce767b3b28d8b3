"""OpenVINO, on a CPU: usually faster than torch.

OpenVINO runs a converted graph. The conversion takes seconds, so graphs are cached (`kinema.engines.cache`) under a key of
everything that they are made from. The scores of a new graph are compared with torch in float32 on clips of noise. If they
differ by more than `TOLERANCE`, the graph is refused.
"""

from __future__ import annotations

import hashlib
import json
import logging
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.engines.cache import cached_graph
from kinema.engines.engine import Engine
from kinema.engines.openvino import ClipGraph, to_openvino
from kinema.engines.openvino_frames import FrameGraph
from kinema.engines.parity import NUM_PROBES, largest_difference
from kinema.engines.scorer import ClipScorer, FrameScorer, Scorer
from kinema.engines.trace import trace
from kinema.errors import OutputError
from kinema.machine import processor
from kinema.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from openvino import Model

    from kinema.clips.windows import Plan
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")

TOLERANCE = {"f32": 1e-3, "bf16": 0.03, "fp16": 0.03}
"""Largest allowed difference of a score from torch in float32, by precision."""

FORMAT = 4
"""Version of the conversion, part of the cache key; increase it when graphs are made in another way."""


class OpenVinoEngine(Engine):
    """The engine of `OpenVinoScorer`."""

    title = "OpenVINO"
    priority = 0
    package = "openvino"

    def open(self, scorer: Scorer, card: ModelCard) -> OpenVinoScorer:
        """See `Engine.open`."""
        return OpenVinoScorer.converted(scorer, card)


class OpenVinoScorer(ClipScorer):
    """A converted network that scores clips; callers that need the network's layers get the network in torch.

    Args:
        scorer: the network in torch.
        card: the network's task and labels.
        graph: gives the logits of uint8 clips.
    """

    engine = "openvino"

    def __init__(self, scorer: Scorer, card: ModelCard, graph: ClipGraph) -> None:
        self._torch, self._graph, self._card = scorer, graph, card
        self.spec, self.device, self.batch_size = scorer.spec, scorer.device, scorer.batch_size
        self.precision = scorer.precision

    @classmethod
    def converted(cls, scorer: Scorer, card: ModelCard) -> OpenVinoScorer:
        """Take the graph of a network from the cache, or convert the network.

        Raises:
            OutputError: the network cannot be converted, or the graph's scores differ from those of torch.
            RuntimeError: OpenVINO cannot load the graph.
        """
        name = scorer.network.variant or type(scorer.network).__name__

        def convert() -> Model:
            model = to_openvino(trace(scorer.network, card, "logits"), scorer.network.variant, "logits")
            candidate = cls(scorer, card, ClipGraph(model, scorer.precision, NUM_PROBES))
            difference, allowed = largest_difference(candidate, scorer.network, card), TOLERANCE[scorer.precision]
            if not difference <= allowed:  # also true for NaN
                what = f"OpenVINO's scores differ from torch's by {difference:.2g}, more than {allowed:g}"
                where = f"{scorer.network.variant}, {scorer.precision}"
                raise OutputError(what, where, "use --precision f32 or --engine torch")
            return model

        model = cached_graph(graph_key(scorer, card), convert, name)
        log.info("engine: OpenVINO %s, %s", version("openvino"), scorer.precision)
        return cls(scorer, card, ClipGraph(model, scorer.precision, scorer.batch_size))

    def __call__(self, clips: torch.Tensor) -> NDArray[np.float32]:
        """Logits [b classes]; [b t classes] for task `frame`."""
        return self._graph(clips.numpy())

    def frame_plan(self) -> Plan:
        """See `Scorer.frame_plan`."""
        return self._torch.frame_plan()

    def frame_scorer(self) -> FrameScorer | None:
        """Encode frames with OpenVINO (converted at the first frames) and join their vectors in torch."""
        scorer, parts = self._torch, self._torch.network.frame_parts()
        if parts is None:
            return None
        key, tolerance = partial(graph_key, scorer, self._card), TOLERANCE[scorer.precision]
        return FrameScorer(scorer, parts, FrameGraph(scorer, parts, self._card, key, tolerance))

    def in_torch(self) -> Scorer:
        """The network in torch."""
        return self._torch


def graph_key(scorer: Scorer, card: ModelCard) -> str:
    """SHA-256 over everything that a graph depends on: weights, layers, input, precision, processor and versions."""
    network = scorer.network
    about = [
        FORMAT, type(network).__qualname__, network.variant, network.arguments, network.spec.to_json(), card.task,
        card.multi_label, "any batch", scorer.precision, processor(),
        [__version__, torch.__version__, version("openvino")],
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(about, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


ENGINE = OpenVinoEngine()
