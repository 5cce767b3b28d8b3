"""A network as a file that runs without kinema: ONNX, OpenVINO or torch.export.

Such a file holds normalisation, the network and the softmax (or sigmoid): pixels go in, scores come out. Its metadata
say what the classes are and how clips are to be cut. It is run before it gets its name, and held against torch.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

import kinema
from kinema.errors import MissingExtra, OutputError, UnknownName, UsageError
from kinema.files import write_error
from kinema.inference.exported import ENDINGS, METADATA, ExportedScorer, open_exported
from kinema.inference.openvino_graph import openvino, to_openvino
from kinema.inference.parity import largest_difference
from kinema.inference.tracing import cannot_convert, quiet, trace
from kinema.models.network import StreamingNetwork

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network

TOLERANCE = 1e-4
"""By how much a score of a file may differ from torch's."""

Metadata = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: its files, and how close its scores are to torch's.

    `input` and `output` are shapes, with "batch" where any number of clips may go in.
    """

    path: Path
    files: tuple[Path, ...]
    input: tuple[int | str, ...]
    output: tuple[int | str, ...]
    difference: float


def export(
    network: Network, card: ModelCard, path: str | os.PathLike[str], *, format: str = "onnx", static_batch: bool = False
) -> Exported:
    """Write a network as a file, whole or not at all.

    Args:
        network: on the CPU, in evaluation mode; it is left as it is.
        card: goes into the file.
        path: ends as `ENDINGS` says of the format.
        format: "onnx", "openvino" (beside the .xml: .bin, and the metadata as .json) or "torch-export".
        static_batch: the file takes one clip at a time, for programs that need a fixed shape.

    Raises:
        UsageError: no such format, or another ending.
        MissingExtra: a package that writes or checks the format is not installed.
        OutputError: the network cannot be converted, its scores come out otherwise, or the file cannot be written.
    """
    path = Path(path)
    check_ending(path, format)
    program = trace(network, card, "scores", static_batch=static_batch)
    metadata = _metadata(network, card)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
            new = Path(folder) / path.name
            _WRITERS[format](program, new, metadata, network.variant)
            difference = _check(new, network, card, static_batch)
            files = _move(new, path)
    except OSError as error:
        raise write_error(error, path) from error
    batch: int | str = 1 if static_batch else "batch"
    steps = (network.spec.clip_len,) if card.each_step else ()
    return Exported(path, files, (batch, *network.spec.shape), (batch, *steps, len(card.labels)), difference)


def check_ending(path: Path, format: str) -> None:
    """Make sure that a path ends as files of the format do.

    Raises:
        UsageError: it does not, or there is no such format.
    """
    if format not in ENDINGS:
        raise UnknownName("format", format, ENDINGS)
    if path.suffix.lower() != ENDINGS[format]:
        raise UsageError(f"files of --format {format} end in {ENDINGS[format]}", path, "choose another name or format")


def _metadata(network: Network, card: ModelCard) -> Metadata:
    """All values are JSON: the two that every program needs, and everything."""
    about = {
        "card": card.to_json(),
        "causal": isinstance(network, StreamingNetwork),
        "scores": "sigmoid" if card.multi_label else "softmax",
        "made_with": {"kinema": kinema.__version__, "torch": torch.__version__},
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
    model = to_openvino(program, name, "scores")
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
