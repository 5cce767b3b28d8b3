"""Graphs in int8 by post-training quantisation with NNCF (https://github.com/openvinotoolkit/nncf).

Weights and what flows between layers become 8-bit integers times a factor. What flows needs ranges, which real clips
must set; noise has others. What is lost depends on network and data, so that it is measured on other clips.
"""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kinema.engines.openvino import openvino, without_statistics
from kinema.engines.trace import cannot_convert, quiet
from kinema.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Clips uint8 [n c t h w] that set the ranges, and others; `targets` are these others' classes, where they are known."""

    ranges: NDArray[np.uint8]
    judged: NDArray[np.uint8]
    targets: tuple[tuple[int, ...], ...] | None


@dataclass(frozen=True, slots=True)
class Moved:
    """How the scores of some clips moved on the way from float32 to int8.

    `agreement` is the share of clips whose best class stayed the same; hits are those of the true classes, where these
    are known.
    """

    num_ranges: int
    num_judged: int
    mean_difference: float
    largest_difference: float
    agreement: float
    hit_at_1_f32: float | None
    hit_at_1: float | None

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)


def quantizer() -> Any:
    """The package; like OpenVINO without its usage statistics.

    Raises:
        MissingExtra: it is not installed.
    """
    openvino()
    try:
        with without_statistics(), quiet():
            import nncf
    except ImportError as error:
        raise MissingExtra("int8 graphs", "nncf", "int8") from error
    return nncf


def quantize(model: Any, clips: NDArray[np.uint8], name: str) -> Any:
    """An int8 model; the one given is left as it is.

    Networks with attention get NNCF's pattern for transformers: softmax and norms stay floats, weights are smoothed, and
    what flows has a zero point. Other networks have none: OpenVINO is a fifth slower with it (x3d_m), and has no depthwise
    filters for it beside bfloat16.

    Args:
        model: an `openvino.Model` that takes uint8 clips.
        clips: [n c t h w]; their ranges become those of the integers.
        name: of the network, for messages.

    Raises:
        MissingExtra: NNCF is not installed.
        OutputError: NNCF cannot quantise this network.
    """
    nncf = quantizer()
    attends = any(operation.get_type_name() == "ScaledDotProductAttention" for operation in model.get_ops())
    kind = nncf.ModelType.TRANSFORMER if attends else None
    single = nncf.Dataset([np.ascontiguousarray(clip) for clip in clips[:, None]])
    try:
        with _silent(), quiet():
            return nncf.quantize(model, single, model_type=kind, subset_size=len(clips))
    except Exception as error:  # whatever NNCF says of a graph that it does not understand
        raise cannot_convert(name, "an int8 graph", error) from error


def compare(
    exact: NDArray[np.float32],
    found: NDArray[np.float32],
    targets: Sequence[tuple[int, ...]] | None,
    num_ranges: int,
) -> Moved:
    """Compare the scores [n … classes] of an int8 graph with those in float32.

    Args:
        exact: in float32.
        found: in int8.
        targets: true classes of the clips; None: not known.
        num_ranges: clips that set the ranges.
    """
    gaps = np.abs(found - exact)
    best = [scores.argmax(-1) for scores in (exact, found)]
    hits: list[float | None] = [None, None]
    if targets is not None:
        hits = [float(np.mean([c in t for c, t in zip(row, targets, strict=True)])) for row in best]
    return Moved(
        num_ranges, len(exact), float(gaps.mean()), float(gaps.max()), float((best[0] == best[1]).mean()), *hits
    )


@contextlib.contextmanager
def _silent() -> Any:
    """Leave NNCF's own bars and banners out."""
    logger = logging.getLogger("nncf")
    before, logger.disabled = logger.disabled, True
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.disabled = before
