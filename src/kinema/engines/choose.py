"""Choose what computes a network: torch, or OpenVINO, which is mostly faster on a CPU, or Winograd's convolutions.

On a CPU torch runs the network with its batch norms folded (see `fold_norms`), on a GPU as it is. Winograd's convolutions
(see `kinema.engines.winograd`) need a C compiler and are used only if they are asked for by name.

OpenVINO runs a converted graph. Converting takes seconds, so a graph is cached (see `cache`) under a key that depends on
everything it is made from. A new graph is compared with torch in float32 on some clips. If scores differ by more than
`TOLERANCE`, or a layer cannot be converted, torch computes and the log says why.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kinema.choices import ENGINES
from kinema.engines.cache import kept_graph
from kinema.engines.fold_norms import FoldedScorer
from kinema.engines.openvino import ClipGraph, to_openvino
from kinema.engines.openvino_frames import FrameGraph
from kinema.engines.options import EngineOptions
from kinema.engines.parity import NUM_PROBES, largest_difference
from kinema.engines.scorer import ClipScorer, FrameScorer, Scorer
from kinema.engines.trace import trace
from kinema.errors import KinemaError, MissingExtra, OutputError, UnknownName, UsageError
from kinema.machine import processor
from kinema.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.clips.windows import Plan
    from kinema.models.network import Network
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")

TOLERANCE = {"f32": 1e-3, "bf16": 0.03, "fp16": 0.03}
"""By how much a score may differ from torch's in float32."""

FORMAT = 4
"""Counts changes to how graphs are made; graphs of an older way are not found any more."""


class OpenVinoScorer(ClipScorer):
    """A converted network that scores clips; where it is asked for its layers, the network in torch stands in.

    Args:
        scorer: the network in torch.
        card: says whether the graph answers at each frame.
        graph: logits of uint8 clips.
    """

    engine = "openvino"

    def __init__(self, scorer: Scorer, card: ModelCard, graph: ClipGraph) -> None:
        self._torch, self._graph, self._card = scorer, graph, card
        self.spec, self.device, self.batch_size = scorer.spec, scorer.device, scorer.batch_size
        self.precision = scorer.precision

    def __call__(self, clips: torch.Tensor) -> NDArray[np.float32]:
        """Logits [b classes]; [b t classes] for task `frame`."""
        return self._graph(clips.numpy())

    def frame_plan(self) -> Plan:
        """See `Scorer.frame_plan`."""
        return self._torch.frame_plan()

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


def open_scorer(network: Network, card: ModelCard, options: EngineOptions) -> ClipScorer:
    """A network ready to score clips.

    Args:
        network: in evaluation mode.
        card: says what the network is asked; see `kinema.engines.trace.PixelGraph`.
        options: "openvino" and "winograd" run on the CPU, the latter in float32.

    Raises:
        UsageError: no such engine, device or precision; an engine that cannot do both.
        MissingExtra: OpenVINO was asked for and is not installed.
        OutputError: "winograd" was asked for and cannot be compiled here.
    """
    engine, device, precision, batch_size = options.engine, options.device, options.precision, options.batch_size
    _check_engine(options)
    if engine == "winograd":
        from kinema.engines.winograd.scorer import WinogradScorer  # compiles C code: only on request

        return WinogradScorer(network, task=card.task, device="cpu", precision="f32", batch_size=batch_size).compiled()
    place = "cpu" if engine == "openvino" else device
    scorer = Scorer(network, task=card.task, device=place, precision=precision, batch_size=batch_size)
    if scorer.device.type != "cpu":
        return scorer
    if engine == "openvino" or (engine == "auto" and usual_engine() == "openvino"):
        converted = _converted(scorer, card)
        if converted is not None:
            return converted
    return FoldedScorer(network, task=card.task, device="cpu", precision=scorer.precision, batch_size=batch_size)


def _check_engine(options: EngineOptions) -> None:
    if options.engine not in ENGINES:
        raise UnknownName("engine", options.engine, ENGINES)
    if options.engine in ("openvino", "winograd") and options.device not in ("auto", "cpu"):
        what = "OpenVINO runs" if options.engine == "openvino" else "Winograd's convolutions run"
        do = "give --device cpu or --engine torch"
        raise UsageError(f"{what} on the CPU here", f"--device {options.device}", do)
    if options.engine == "winograd" and options.precision not in ("auto", "f32"):
        what = "Winograd's convolutions are computed in float32"
        raise UsageError(what, f"--precision {options.precision}", "give --precision f32 or --engine torch")
    if options.engine == "openvino" and not _has_openvino():
        raise MissingExtra("OpenVINO graphs", "openvino", "openvino")


def usual_engine() -> str:
    """What "auto" means on a CPU: OpenVINO where it is installed, else torch."""
    if _has_openvino():
        return "openvino"
    log.debug("engine: not OpenVINO, which is not installed (pip install 'kinema[openvino]')")
    return "torch"


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


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


def graph_key(scorer: Scorer, card: ModelCard, *others: object) -> str:
    """SHA-256 over all that a graph and its being right depend on: weights, layers, input, number format, versions."""
    network = scorer.network
    about = [
        FORMAT, type(network).__qualname__, network.variant, network.arguments, network.spec.to_json(), card.task,
        card.multi_label, "any batch", scorer.precision, processor(),
        [__version__, torch.__version__, _openvino_version()], *others,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(about, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _openvino_version() -> str:
    try:
        return version("openvino")
    except PackageNotFoundError:
        return ""
