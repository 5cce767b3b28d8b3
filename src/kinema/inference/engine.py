"""What computes a network: torch, or OpenVINO, which is mostly faster on a CPU, or torch with Winograd's convolutions.

On a CPU torch runs the network with its batch norms folded (see `folding`), on a GPU as it is. In float32, convolutions
can be computed with a quarter or half of the multiplications (see `winograd`), where there is a C compiler; whether that or
OpenVINO is faster is measured once and kept.

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
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

import kinema
from kinema.errors import KinemaError, MissingExtra, OutputError, UnknownName, UsageError
from kinema.inference.engine_cache import kept_figures, kept_graph
from kinema.inference.folding import FoldedScorer
from kinema.inference.frame_graph import FrameGraph
from kinema.inference.frame_scorer import FrameScorer
from kinema.inference.openvino_graph import ClipGraph, to_openvino
from kinema.inference.parity import NUM_PROBES, largest_difference, probe_clips
from kinema.inference.scoring import ClipScorer, Scorer
from kinema.inference.stopwatch import fastest_s
from kinema.inference.tracing import trace
from kinema.inference.winograd import saves_products
from kinema.inference.winograd_scorer import WinogradScorer
from kinema.machine import processor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.inference.windows import Plan
    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network

log = logging.getLogger("kinema")

Engine = Literal["auto", "torch", "winograd", "openvino"]

TOLERANCE = {"f32": 1e-3, "bf16": 0.03, "fp16": 0.03}
"""By how much a score may differ from torch's in float32."""

_COMPARED, _FIGURES = 5, ("difference", "usual_s", "winograd_s")
"""How often each engine is timed before one is chosen, and what is kept of that."""

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
    batch_size: int | None = None,
) -> ClipScorer:
    """A network ready to score clips.

    Args:
        network: in evaluation mode.
        card: see `kinema.inference.tracing.PixelGraph`.
        engine: "torch"; "openvino" and "winograd", which run on the CPU, the latter in float32; "auto" is on a CPU
            OpenVINO where it is installed, but "winograd" where that is faster, else torch.
        device: see `Scorer`.
        precision: see `Scorer`.
        batch_size: most clips at once; None: see `usual_batch`.

    Raises:
        UsageError: no such engine, device or precision; an engine that cannot do both.
        MissingExtra: OpenVINO was asked for and is not installed.
        OutputError: "winograd" was asked for and cannot be compiled here.
    """
    if engine not in get_args(Engine):
        raise UnknownName("engine", engine, get_args(Engine))
    if engine in ("openvino", "winograd"):
        device = _cpu(engine, device)
    if engine == "winograd":
        precision = _f32(precision)
    scorer = Scorer(network, device=device, precision=precision, batch_size=batch_size)
    if scorer.device.type != "cpu":
        return scorer
    in_torch = FoldedScorer(network, device="cpu", precision=scorer.precision, batch_size=batch_size)
    if engine == "torch":
        return in_torch
    if engine == "winograd":
        return WinogradScorer(network, device="cpu", precision="f32", batch_size=batch_size).compiled()
    if engine == "openvino" and not _has_openvino():
        raise MissingExtra("OpenVINO graphs", "openvino", "openvino")
    considered = usual_engines() if engine == "auto" else (engine,)
    usual = (_converted(scorer, card) if "openvino" in considered else None) or in_torch
    return _quicker(usual, scorer, card) if "winograd" in considered else usual


def usual_engines() -> tuple[str, ...]:
    """What "auto" considers on a CPU beside torch."""
    if _has_openvino():
        return ("openvino", "winograd")
    log.debug("engine: not OpenVINO, which is not installed (pip install 'kinema[openvino]')")
    return ("winograd",)


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _cpu(engine: str, device: str) -> str:
    if device not in ("auto", "cpu"):
        what = "OpenVINO runs" if engine == "openvino" else "Winograd's convolutions run"
        raise UsageError(f"{what} on the CPU here", f"--device {device}", "give --device cpu or --engine torch")
    return "cpu"


def _f32(precision: str) -> str:
    if precision not in ("auto", "f32"):
        what = "Winograd's convolutions are computed in float32"
        raise UsageError(what, f"--precision {precision}", "give --precision f32 or --engine torch")
    return "f32"


def _quicker(usual: ClipScorer, scorer: Scorer, card: ModelCard) -> ClipScorer:
    """The usual scorer, or Winograd's convolutions in its place where they give the same scores in less time."""
    if scorer.precision != "f32" or card.each_step or not saves_products(scorer.network):
        return usual
    other = WinogradScorer(scorer.network, device="cpu", precision="f32", batch_size=scorer.batch_size)
    key = graph_key(scorer, card, f"{usual.engine} or winograd", torch.get_num_threads())
    try:
        found = kept_figures(key, _FIGURES, partial(_compare, usual, other, scorer.network, card))
        if not (found["difference"] <= TOLERANCE["f32"] and found["winograd_s"] < found["usual_s"]):
            return usual
        chosen = other.compiled()
    except KinemaError as error:
        log.info("engine: %s, without Winograd's convolutions; %s", usual.engine, error)
        return usual
    log.info(
        "engine: torch with Winograd's convolutions, f32; %.0f ms a clip, %s %.0f ms",
        1e3 * found["winograd_s"], usual.engine, 1e3 * found["usual_s"],
    )  # fmt: skip
    return chosen


def _compare(usual: ClipScorer, other: WinogradScorer, network: Network, card: ModelCard) -> dict[str, float]:
    """How long a clip takes either way, and how much scores differ from torch's.

    Raises:
        OutputError: nothing can be compiled here.
    """
    log.info("measuring which engine is the faster one; this is done once")
    clip = probe_clips(network.spec, 1)
    difference = largest_difference(other.compiled(), network, card)
    seconds = fastest_s([partial(usual, clip), partial(other, clip)], _COMPARED)
    return dict(zip(_FIGURES, [difference, *seconds], strict=True))


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
        FORMAT, type(network).__qualname__, network.variant, network.arguments, network.spec.to_json(), card.each_step,
        card.multi_label, "any batch", scorer.precision, processor(),
        [kinema.__version__, torch.__version__, _openvino_version()], *others,
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
