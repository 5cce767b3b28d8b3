"""A network as a file that runs without kinema: ONNX, OpenVINO or torch.export.

Such a file holds normalisation, the network and the softmax (or sigmoid): pixels go in, scores come out. Its metadata
say what the classes are and how clips are to be cut. It is run before it gets its name, and held against torch. An int8
file is made of one that was, and its scores are compared on clips that had no part in making it.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.engines.exported import ENDINGS, METADATA, ExportedScorer, open_exported
from kinema.engines.openvino import ClipGraph, core, openvino, to_openvino
from kinema.engines.parity import NUM_PROBES, largest_difference
from kinema.engines.quantize import Calibration, Moved, compare, quantize, quantizer
from kinema.engines.scorer import to_scores
from kinema.engines.trace import cannot_convert, quiet, trace
from kinema.errors import MissingExtra, OutputError, UnknownName, UsageError
from kinema.files import write_error
from kinema.models.network import StreamingNetwork
from kinema.version import __version__

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from kinema.models.network import Network
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")

TOLERANCE = 1e-4
"""By how much a score of a file may differ from torch's."""

AGREEMENT = 0.95
"""Share of clips on which an int8 file should name the class that float32 names; below it the log warns."""

_OPENVINO = (".json", ".bin", ".xml")

Metadata = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: its files, and how close its scores are to torch's in float32.

    `input` and `output` are shapes, with "batch" where any number of clips may go in. `moved` says what int8 changed.
    """

    path: Path
    files: tuple[Path, ...]
    input: tuple[int | str, ...]
    output: tuple[int | str, ...]
    difference: float
    moved: Moved | None = None


def export(
    network: Network,
    card: ModelCard,
    path: str | os.PathLike[str],
    *,
    format: str = "onnx",
    static_batch: bool = False,
    calibration: Calibration | None = None,
) -> Exported:
    """Write a network as a file, whole or not at all.

    Args:
        network: on the CPU, in evaluation mode; it is left as it is.
        card: goes into the file.
        path: ends as `ENDINGS` says of the format.
        format: "onnx", "openvino" (beside the .xml: .bin, and the metadata as .json) or "torch-export".
        static_batch: the file takes one clip at a time, for programs that need a fixed shape.
        calibration: clips by which the file becomes int8, of OpenVINO only.

    Raises:
        UsageError: no such format, another ending, or int8 in another format.
        MissingExtra: a package that writes or checks the format is not installed.
        OutputError: the network cannot be converted, its scores come out otherwise, or the file cannot be written, such as
            over files that no export wrote.
    """
    path = Path(path)
    check_target(path, format)
    if calibration is not None:
        check_int8(format)
    program = trace(network, card, "scores", static_batch=static_batch)
    metadata = _metadata(network, card)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".kinema.") as folder:
            new = Path(folder) / f"network{ENDINGS[format]}"  # libraries know small letters only
            _WRITERS[format](program, new, metadata, network.variant)
            difference, moved = _check(new, network, card, static_batch), None
            if calibration is not None:
                new, moved = _to_int8(new, calibration, network, card)
            files = _move(new, path)
    except OSError as error:
        raise write_error(error, path) from error
    batch: int | str = 1 if static_batch else "batch"
    steps = (network.spec.clip_len,) if card.task == "frame" else ()
    return Exported(path, files, (batch, *network.spec.shape), (batch, *steps, len(card.labels)), difference, moved)


def check_target(path: Path, format: str) -> None:
    """Make sure that a path ends as files of the format do, and that what stands there may be replaced.

    Raises:
        UsageError: it does not, or there is no such format.
        OutputError: OpenVINO takes three files of one name, and those there are not of an export.
    """
    if format not in ENDINGS:
        raise UnknownName("format", format, ENDINGS)
    if path.suffix.lower() != ENDINGS[format]:
        raise UsageError(f"files of --format {format} end in {ENDINGS[format]}", path, "choose another name or format")
    taken = [other for ending in _OPENVINO if (other := path.with_suffix(ending)).exists()]
    if format == "openvino" and taken and not _is_ours(path.with_suffix(".json")):
        what = "an export would replace this file, which is not of an earlier one"
        raise OutputError(what, taken[0], "choose another --out")


def _is_ours(metadata: Path) -> bool:
    """Whether a .json is what an export writes beside an .xml; a checkpoint's card is not."""
    try:
        return "card" in json.loads(metadata.read_text(encoding="utf-8"))[METADATA]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def check_int8(format: str) -> None:
    """Make sure that int8 files of the format can be written.

    Raises:
        UsageError: they cannot.
        MissingExtra: what writes them is not installed.
    """
    if format != "openvino":
        raise UsageError("int8 files are written for OpenVINO only", f"--format {format}", "give --format openvino")
    quantizer()


def _metadata(network: Network, card: ModelCard, precision: str = "f32") -> Metadata:
    """All values are JSON: the two that every program needs, and everything."""
    about = {
        "card": card.to_json(),
        "causal": isinstance(network, StreamingNetwork),
        "scores": "sigmoid" if card.multi_label else "softmax",
        "precision": precision,
        "made_with": {"kinema": __version__, "torch": torch.__version__},
    }
    values = {"labels": list(card.labels), "input": card.input.to_json(), METADATA: about}
    return {name: json.dumps(value, ensure_ascii=False, default=str) for name, value in values.items()}


def _write_onnx(program: ExportedProgram, path: Path, metadata: Metadata, name: str) -> None:
    for package in ("onnx", "onnxscript"):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtra("ONNX files", package, "export") from error
    batch = {"clip": {0: "batch"}} if program.range_constraints else None
    try:
        with quiet():
            program = program.run_decompositions({torch.ops.aten.adaptive_avg_pool3d.default: _pool_in_planes})
            made = torch.onnx.export(
                program, dynamo=True, verbose=False, dynamic_shapes=batch, input_names=["clip"], output_names=["scores"]
            )
            assert made is not None
            made.model.metadata_props.update(metadata)
            made.save(path, external_data=False)
    except OSError:
        raise
    except Exception as error:
        raise cannot_convert(name, "an ONNX file", error) from error


def _pool_in_planes(x: Float[Tensor, "b c t h w"], size: list[int]) -> Float[Tensor, "b c s i j"]:
    """Adaptive pooling in rows and columns, then in time, which is the same; ONNX knows it in two axes only."""
    batch, channels, frames = x.shape[:3]  # len(x) would fix the number of clips
    planes = nn.functional.adaptive_avg_pool2d(x.contiguous().flatten(1, 2), (size[1], size[2]))
    lines = planes.reshape(batch, channels, frames, size[1] * size[2])
    return nn.functional.adaptive_avg_pool2d(lines, (size[0], lines.shape[-1])).reshape(batch, channels, *size)


def _write_openvino(program: ExportedProgram, path: Path, metadata: Metadata, name: str) -> None:
    _save_openvino(to_openvino(program, name, "scores"), path, metadata)


def _save_openvino(model: Any, path: Path, metadata: Metadata) -> None:
    for key, value in metadata.items():
        model.set_rt_info(value, [key])
    openvino().save_model(model, path, compress_to_fp16=False)
    beside = {key: json.loads(value) for key, value in metadata.items()}
    path.with_suffix(".json").write_text(json.dumps(beside, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_torch(program: ExportedProgram, path: Path, metadata: Metadata, name: str) -> None:
    with quiet():
        torch.export.save(program, path, extra_files={f"{key}.json": value for key, value in metadata.items()})


_WRITERS: dict[str, Callable[[ExportedProgram, Path, Metadata, str], None]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "torch-export": _write_torch,
}


def _check(path: Path, network: Network, card: ModelCard, static_batch: bool) -> float:
    """The largest difference of a score, as far as it is allowed."""
    try:
        scorer = _open_torch(path, static_batch) if path.suffix == ".pt2" else open_exported(path, precision="f32")[0]
        difference = largest_difference(scorer, network, card)
    except MissingExtra:
        raise
    except Exception as error:  # what a runtime says of a graph that it cannot run
        raise cannot_convert(network.variant, "a file that runs", error) from error
    if not difference <= TOLERANCE:
        what = f"the file's scores differ from torch's by {difference:.2g}, more than {TOLERANCE:g}"
        raise OutputError(what, network.variant, "nothing was written; choose another --format, or use the checkpoint")
    return difference


def _to_int8(exact: Path, calibration: Calibration, network: Network, card: ModelCard) -> tuple[Path, Moved]:
    """A file in int8 beside one in float32, and how its scores moved."""
    model = core().read_model(exact)
    expected = ClipGraph(model, "f32", NUM_PROBES)(calibration.judged)
    path = exact.parent / "int8" / exact.name
    path.parent.mkdir()
    small = quantize(model, calibration.ranges, network.variant)
    _save_openvino(small, path, _metadata(network, card, "int8"))
    try:
        found = to_scores(open_exported(path)[0](torch.from_numpy(calibration.judged)), card.multi_label)
    except RuntimeError as error:
        raise cannot_convert(network.variant, "an int8 file that runs", error) from error
    if not np.isfinite(found).all():
        raise OutputError("scores in int8 are not numbers", network.variant, "nothing was written; export it in f32")
    moved = compare(expected, found, calibration.targets, len(calibration.ranges))
    if moved.agreement < AGREEMENT:
        do = "give more clips like those it will see, or keep to f32"
        log.warning("int8 names another class for %.0f %% of the clips: %s", 100 * (1 - moved.agreement), do)
    return path, moved


def _open_torch(path: Path, static_batch: bool) -> ExportedScorer:
    extra = {f"{METADATA}.json": ""}
    with quiet():
        module = torch.export.load(path, extra_files=extra).module()
    about = json.loads(extra[f"{METADATA}.json"])
    fixed = 1 if static_batch else 0
    run = partial(_run_torch, module)
    return ExportedScorer(str(path), about, run, fixed_batch=fixed, precision="f32", batch_size=3)


def _run_torch(module: Any, clips: Any) -> Any:
    with torch.no_grad():
        return module(torch.from_numpy(clips)).numpy()


def _move(new: Path, path: Path) -> tuple[Path, ...]:
    """Give files their names, the main one last, so that where it is, all are."""
    others = sorted(other for other in new.parent.iterdir() if other != new)
    if others:
        path.unlink(missing_ok=True)
    targets = [path.with_suffix(other.suffix) for other in others]
    for source, target in zip([*others, new], [*targets, path], strict=True):
        os.replace(source, target)
    return (path, *targets)
