"""Post-training quantisation to int8 with NNCF (https://github.com/openvinotoolkit/nncf).

Weights and activations become 8-bit integers with a scale. The ranges of activations are measured on real clips, because
noise has other ranges. The loss of accuracy depends on network and data, so it is measured too, on other clips.
"""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.engines.openvino import openvino, without_statistics
from kinema.engines.trace import cannot_convert, quiet
from kinema.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import NDArray
    from openvino import Model


@dataclass(frozen=True, eq=False)
class Calibration:
    """Clips uint8 [n c t h w] that set the ranges, and other clips that judge; `targets` are the judges' classes, if known."""

    ranges: NDArray[np.uint8]
    judged: NDArray[np.uint8]
    targets: tuple[tuple[int, ...], ...] | None


@dataclass(frozen=True, slots=True)
class Int8Comparison:
    """Scores of an int8 graph compared with those in float32, on clips that did not set the ranges.

    `agreement` is the share of clips with the same best class. Hits count true classes; they are None if classes are
    unknown.
    """

    num_ranges: int
    num_judged: int
    mean_difference: float
    largest_difference: float
    agreement: float
    hit_at_1_f32: float | None
    hit_at_1: float | None

    def to_json(self) -> dict[str, object]:
        """As a plain dictionary."""
        return asdict(self)


def quantizer() -> ModuleType:
    """Import NNCF, without its usage statistics.

    Raises:
        MissingExtra: NNCF or OpenVINO is not installed.
    """
    openvino()
    try:
        with without_statistics(), quiet():
            import nncf
    except ImportError as error:
        raise MissingExtra("int8 graphs", "nncf", "int8") from error
    return nncf


def quantize(model: Model, clips: NDArray[np.uint8], name: str) -> Model:
    """Quantise a graph; the given graph stays as it is.

    Networks with attention get NNCF's scheme for transformers: softmax and norms stay floats, weights are smoothed, and
    activations get a zero point. Other networks do not: with zero points OpenVINO is 20 % slower (x3d_m) and computes
    depthwise convolutions in bfloat16.

    Args:
        model: takes uint8 clips.
        clips: [n c t h w]; they set the ranges of activations.
        name: name of the network, for messages.

    Raises:
        MissingExtra: NNCF is not installed.
        OutputError: NNCF cannot quantise this network.
    """
    nncf = quantizer()
    has_attention = any(operation.get_type_name() == "ScaledDotProductAttention" for operation in model.get_ops())
    kind = nncf.ModelType.TRANSFORMER if has_attention else None
    single = nncf.Dataset([np.ascontiguousarray(clip) for clip in clips[:, None]])
    logger = logging.getLogger("nncf")
    was_disabled, logger.disabled = logger.disabled, True
    try:  # NNCF prints progress bars and banners
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), quiet():
            return nncf.quantize(model, single, model_type=kind, subset_size=len(clips))
    except Exception as error:  # NNCF raises errors of many kinds for graphs that it does not support
        raise cannot_convert(name, "an int8 graph", error) from error
    finally:
        logger.disabled = was_disabled


def compare(
    exact: NDArray[np.float32],
    found: NDArray[np.float32],
    targets: Sequence[tuple[int, ...]] | None,
    num_ranges: int,
) -> Int8Comparison:
    """Compare the scores [n … classes] of an int8 graph with those in float32.

    Args:
        exact: scores in float32.
        found: scores in int8.
        targets: true classes of each clip; None if they are unknown.
        num_ranges: number of clips that set the ranges.
    """
    gaps = np.abs(found - exact)
    best = [scores.argmax(-1) for scores in (exact, found)]
    hits: list[float | None] = [None, None]
    if targets is not None:
        hits = [float(np.mean([c in t for c, t in zip(row, targets, strict=True)])) for row in best]
    return Int8Comparison(
        num_ranges, len(exact), float(gaps.mean()), float(gaps.max()), float((best[0] == best[1]).mean()), *hits
    )
