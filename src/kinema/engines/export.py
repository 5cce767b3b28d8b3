"""Write a network as a file that runs without kinema: ONNX, OpenVINO or torch.export.

The file contains normalisation, network and softmax (or sigmoid): pixels go in, scores come out. Its metadata name the
classes and describe the clips. Before a file gets its name, it is run and its scores are compared with those of torch. An
int8 file is made from such a file, and its scores are compared on clips that were not used for the quantisation.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.engines.export_formats import open_torch_export, save_openvino, write_graph
from kinema.engines.exported import ENDINGS, METADATA, ExportMetadata, open_exported
from kinema.engines.openvino import ClipGraph, core
from kinema.engines.parity import NUM_PROBES, largest_difference
from kinema.engines.quantize import Calibration, Int8Comparison, compare, quantize, quantizer
from kinema.engines.scorer import to_scores
from kinema.engines.trace import cannot_convert, trace
from kinema.errors import MissingExtra, OutputError, UnknownName, UsageError
from kinema.files import work_folder, write_error
from kinema.models.network import StreamingNetwork
from kinema.version import __version__

if TYPE_CHECKING:
    from kinema.models.network import Network
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")

TOLERANCE = 1e-4
"""Largest allowed difference of a file's score from torch."""

AGREEMENT = 0.95
"""Share of clips with the same best class in int8 and float32 below which a warning is logged."""

_OPENVINO = (".json", ".bin", ".xml")


@dataclass(frozen=True, slots=True)
class Exported:
    """The files that were written, and how close their scores are to those of torch in float32.

    `input` and `output` are shapes, with "batch" if the number of clips is open. `int8` compares an int8 file with float32.
    """

    path: Path
    files: tuple[Path, ...]
    input: tuple[int | str, ...]
    output: tuple[int | str, ...]
    difference: float
    int8: Int8Comparison | None = None


def export(
    network: Network,
    card: ModelCard,
    path: str | os.PathLike[str],
    *,
    format: str = "onnx",
    static_batch: bool = False,
    calibration: Calibration | None = None,
) -> Exported:
    """Write a network as a file, completely or not at all.

    Args:
        network: on the CPU, in evaluation mode; it is not changed.
        card: goes into the file.
        path: its ending is that of the format, see `ENDINGS`.
        format: "onnx", "openvino" (beside the .xml: .bin, and the metadata as .json) or "torch-export".
        static_batch: fix the batch size to one clip, for programs that need a fixed shape.
        calibration: clips for the quantisation to int8, for OpenVINO only.

    Raises:
        UsageError: unknown format, another ending, int8 in another format, or a network of another task than clip or frame.
        MissingExtra: a package that writes or checks the format is not installed.
        OutputError: the network cannot be converted, its scores differ from those of torch, the file cannot be written, or
            files that are not from an export would be replaced.
    """
    path = Path(path)
    check_target(path, format)
    if card.task not in ("clip", "frame"):
        what = f"a network of task {card.task} needs more than one clip, so it cannot be a file"
        raise UsageError(what, card.variant, "use the checkpoint itself")
    if calibration is not None:
        check_int8(format)
    program = trace(network, card, "scores", static_batch=static_batch)
    made_with = {"kinema": __version__, "torch": torch.__version__}
    metadata = ExportMetadata(card, isinstance(network, StreamingNetwork), made_with=made_with)
    try:
        with work_folder(path.parent) as folder:
            new = folder / f"network{ENDINGS[format]}"  # libraries know endings in small letters only
            write_graph(program, new, metadata)
            difference, int8 = _check(new, network, card, static_batch), None
            if calibration is not None:
                new, int8 = _to_int8(new, calibration, metadata)
            files = _move(new, path)
    except OSError as error:
        raise write_error(error, path) from error
    batch: int | str = 1 if static_batch else "batch"
    frames = (network.spec.clip_len,) if card.task == "frame" else ()
    return Exported(path, files, (batch, *network.spec.shape), (batch, *frames, len(card.labels)), difference, int8)


def check_target(path: Path, format: str) -> None:
    """Check that a path has the ending of the format, and that only files of an export would be replaced.

    Raises:
        UsageError: unknown format, or another ending.
        OutputError: one of OpenVINO's three files exists and is not from an export.
    """
    if format not in ENDINGS:
        raise UnknownName("format", format, ENDINGS)
    if path.suffix.lower() != ENDINGS[format]:
        raise UsageError(f"files of --format {format} end in {ENDINGS[format]}", path, "choose another name or format")
    taken = [other for ending in _OPENVINO if (other := path.with_suffix(ending)).exists()]
    if format == "openvino" and taken:
        try:  # a checkpoint's card is a .json too
            is_ours = "card" in json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))[METADATA]
        except (OSError, ValueError, KeyError, TypeError):
            is_ours = False
        if not is_ours:
            what = "an export would replace this file, which is not of an earlier one"
            raise OutputError(what, taken[0], "choose another --out")


def check_int8(format: str) -> None:
    """Check that int8 files of a format can be written.

    Raises:
        UsageError: only OpenVINO has int8 files.
        MissingExtra: NNCF is not installed.
    """
    if format != "openvino":
        raise UsageError("int8 files are written for OpenVINO only", f"--format {format}", "give --format openvino")
    quantizer()


def _check(path: Path, network: Network, card: ModelCard, static_batch: bool) -> float:
    """Run a file and return the largest difference of a score from torch.

    Raises:
        OutputError: the file does not run, or the difference is larger than `TOLERANCE`.
    """
    try:
        if path.suffix == ENDINGS["torch-export"]:
            scorer = open_torch_export(path, fixed_batch=1 if static_batch else 0)
        else:
            scorer, _ = open_exported(path, precision="f32")
        difference = largest_difference(scorer, network, card)
    except MissingExtra:
        raise
    except Exception as error:  # each runtime has its own errors for graphs that it cannot run
        raise cannot_convert(network.variant, "a file that runs", error) from error
    if not difference <= TOLERANCE:  # also true for NaN
        what = f"the file's scores differ from torch's by {difference:.2g}, more than {TOLERANCE:g}"
        raise OutputError(what, network.variant, "nothing was written; choose another --format, or use the checkpoint")
    return difference


def _to_int8(exact: Path, calibration: Calibration, metadata: ExportMetadata) -> tuple[Path, Int8Comparison]:
    """Write an int8 file beside one in float32 and compare their scores."""
    name, multi_label = metadata.card.variant, metadata.card.multi_label
    model = core().read_model(exact)
    expected = ClipGraph(model, "f32", NUM_PROBES)(calibration.judged)
    path = exact.parent / "int8" / exact.name
    path.parent.mkdir()
    small = quantize(model, calibration.ranges, name)
    save_openvino(small, path, replace(metadata, precision="int8"))
    try:
        found = to_scores(open_exported(path)[0](torch.from_numpy(calibration.judged)), multi_label)
    except RuntimeError as error:
        raise cannot_convert(name, "an int8 file that runs", error) from error
    if not np.isfinite(found).all():
        raise OutputError("scores in int8 are not numbers", name, "nothing was written; export it in f32")
    compared = compare(expected, found, calibration.targets, len(calibration.ranges))
    if compared.agreement < AGREEMENT:
        do = "give more clips like those it will see, or keep to f32"
        log.warning("int8 names another class for %.0f %% of the clips: %s", 100 * (1 - compared.agreement), do)
    return path, compared


def _move(new: Path, path: Path) -> tuple[Path, ...]:
    """Rename files to their targets, the main file last: if it exists, all files do."""
    others = sorted(other for other in new.parent.iterdir() if other != new)
    if others:
        path.unlink(missing_ok=True)
    targets = [path.with_suffix(other.suffix) for other in others]
    for source, target in zip([*others, new], [*targets, path], strict=True):
        os.replace(source, target)
    return (path, *targets)
