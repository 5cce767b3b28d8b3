"""What computes a network: torch, or OpenVINO, which is faster on a CPU.

On a CPU torch runs the network with its batch norms folded (see `folding`), on a GPU as it is.

OpenVINO runs a converted graph. Converting takes seconds, so a graph is kept (see `engine_cache`) under a name that
depends on all that it comes from. Nothing is trusted: a new graph is compared with torch in float32 on some clips, and
where scores differ by more than `TOLERANCE`, or a layer cannot be converted, torch computes and the log says why.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

import kinema
from kinema.errors import KinemaError, MissingExtra, OutputError, UnknownName, UsageError
from kinema.inference.engine_cache import kept_graph
from kinema.inference.folding import FoldedScorer
from kinema.inference.frame_graph import FrameGraph
from kinema.inference.frame_scorer import FrameScorer
from kinema.inference.openvino_graph import ClipGraph, to_openvino
from kinema.inference.parity import NUM_PROBES, largest_difference
from kinema.inference.scoring import ClipScorer, Scorer
from kinema.inference.tracing import trace
from kinema.machine import processor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.inference.windows import Plan
    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network

log = logging.getLogger("kinema")

Engine = Literal["auto", "torch", "openvino"]

TOLERANCE = {"f32": 1e-3, "bf16": 0.03, "fp16": 0.03}
"""By how much a score may differ from torch's in float32."""

FORMAT = 2
"""Counts changes to how graphs are made; graphs of an older way are not found any more."""


class OpenVinoScorer(ClipScorer):
    """A converted network that scores clips; where it is asked for its layers, the network in torch stands in.

    Args:
        scorer: the network in torch.
        card: says whether the graph answers at each frame.
        graph: logits of uint8 clips.
    """

    def __init__(self, scorer: Scorer, card: ModelCard, graph: ClipGraph) -> None:
        self._torch, self._graph, self._each_step, self._card = scorer, graph, card.each_step, card
        self.spec, self.device, self.batch_size = scorer.spec, scorer.device, scorer.batch_size
        self.precision = scorer.precision

    def __call__(self, clips: torch.Tensor) -> NDArray[np.float32]:
        """Logits [b classes]; of a network that learned to answer at each frame from torch."""
        return self._torch(clips) if self._each_step else self._logits(clips)

    def steps(self, clips: torch.Tensor) -> NDArray[np.float32]:
        """Logits [b t classes]."""
        return self._logits(clips) if self._each_step else self._torch.steps(clips)

    def step_plan(self) -> Plan:
        """See `Scorer.step_plan`."""
        return self._torch.step_plan()

    def frame_scorer(self) -> FrameScorer | None:
        """A graph of the frame network, made when the first frames come; torch joins what it gives."""
        scorer, parts = self._torch, self._torch.network.frame_parts()
        if parts is None:
            return None
        key, tolerance = partial(graph_key, scorer, self._card), TOLERANCE[scorer.precision]
        return FrameScorer(scorer, parts, FrameGraph(scorer, parts, self._card, key, tolerance))

    def in_torch(self) -> Scorer:
        """The network in torch."""
        return self._torch

    def _logits(self, clips: torch.Tensor) -> NDArray[np.float32]:
        return self._graph(clips.numpy())


def open_scorer(
    network: Network,
    card: ModelCard,
    *,
    engine: str = "torch",
    device: str = "auto",
    precision: str = "auto",
    batch_size: int = 8,
) -> ClipScorer:
    """A network ready to score clips.

    Args:
        network: in evaluation mode.
        card: see `kinema.inference.tracing.PixelGraph`.
        engine: "torch"; "openvino", which runs on the CPU; "auto" is OpenVINO on a CPU where it is installed, else torch.
        device: see `Scorer`.
        precision: see `Scorer`.
        batch_size: most clips at once.

    Raises:
        UsageError: no such engine, device or precision; OpenVINO on another device.
        MissingExtra: OpenVINO was asked for and is not installed.
    """
    if engine not in get_args(Engine):
        raise UnknownName("engine", engine, get_args(Engine))
    if engine == "openvino":
        device = _cpu(device)
    scorer = Scorer(network, device=device, precision=precision, batch_size=batch_size)
    if scorer.device.type != "cpu":
        return scorer
    in_torch = FoldedScorer(network, device="cpu", precision=scorer.precision, batch_size=batch_size)
    if (usual_engine() if engine == "auto" else engine) == "torch":
        return in_torch
    if importlib.util.find_spec("openvino") is None:
        raise MissingExtra("OpenVINO graphs", "openvino", "openvino")
    return _converted(scorer, card) or in_torch


def usual_engine() -> str:
    """What "auto" is on a CPU: OpenVINO where it is installed."""
    if importlib.util.find_spec("openvino") is not None:
        return "openvino"
    log.debug("engine: torch; OpenVINO is not installed (pip install 'kinema[openvino]')")
    return "torch"


def _cpu(device: str) -> str:
    if device not in ("auto", "cpu"):
        raise UsageError("OpenVINO runs on the CPU here", f"--device {device}", "give --device cpu or --engine torch")
    return "cpu"


def _converted(scorer: Scorer, card: ModelCard) -> OpenVinoScorer | None:
    """The graph in the network's place; None where that cannot be."""
    name = scorer.network.variant or type(scorer.network).__name__
    try:
        model = kept_graph(graph_key(scorer, card), partial(_convert, scorer, card), name)
    except (KinemaError, RuntimeError) as error:
        log.warning("engine: torch, not OpenVINO; %s", error)
        return None
    log.info("engine: OpenVINO %s, %s", version("openvino"), scorer.precision)
    return OpenVinoScorer(scorer, card, ClipGraph(model, scorer.precision, scorer.batch_size))


def _convert(scorer: Scorer, card: ModelCard) -> Any:
    """A new graph, held against torch.

    Raises:
        OutputError: it cannot be made, or its scores are others.
    """
    name = scorer.network.variant
    model = to_openvino(trace(scorer.network, card, "logits"), name, "logits")
    candidate = OpenVinoScorer(scorer, card, ClipGraph(model, scorer.precision, NUM_PROBES))
    difference = largest_difference(candidate, scorer.network, card)
    if not difference <= TOLERANCE[scorer.precision]:
        what = f"OpenVINO's scores differ from torch's by {difference:.2g}, more than {TOLERANCE[scorer.precision]:g}"
        raise OutputError(what, f"{name}, {scorer.precision}", "use --precision f32 or --engine torch")
    return model


def graph_key(scorer: Scorer, card: ModelCard) -> str:
    """SHA-256 over all that a graph and its being right depend on: weights, layers, input, number format, versions."""
    network = scorer.network
    about = [
        FORMAT, type(network).__qualname__, network.variant, network.arguments, network.spec.to_json(), card.each_step,
        card.multi_label, "any batch", scorer.precision, processor(),
        [kinema.__version__, torch.__version__, version("openvino")],
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(about, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]
