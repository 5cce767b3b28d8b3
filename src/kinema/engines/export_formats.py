"""File formats of an export: write a traced network with its metadata, and open torch.export files of our own."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.engines.exported import ENDINGS, METADATA, ExportedScorer, ExportMetadata
from kinema.engines.openvino import openvino, to_openvino
from kinema.engines.trace import cannot_convert, quiet
from kinema.errors import MissingExtra, OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from openvino import Model
    from torch.export import ExportedProgram


def write_graph(program: ExportedProgram, path: Path, metadata: ExportMetadata) -> None:
    """Write a traced network in the format of the path's ending.

    Raises:
        MissingExtra: a package that writes the format is not installed.
        OutputError: the network cannot be converted.
    """
    name, entries = metadata.card.variant, _entries(metadata)
    if path.suffix == ENDINGS["openvino"]:
        save_openvino(to_openvino(program, name, "scores"), path, metadata)
        return
    if path.suffix == ENDINGS["torch-export"]:
        buffer = io.BytesIO()  # torch ends the process if it cannot write a file itself
        with quiet():
            torch.export.save(program, buffer, extra_files={f"{key}.json": value for key, value in entries.items()})
        path.write_bytes(buffer.getbuffer())
        return
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
            made.model.metadata_props.update(entries)
            made.save(path, external_data=False)
    except OSError:
        raise
    except Exception as error:
        raise cannot_convert(name, "an ONNX file", error) from error


def _pool_in_planes(x: Float[Tensor, "b c t h w"], size: list[int]) -> Float[Tensor, "b c s i j"]:
    """Adaptive pooling over rows and columns, then over time, which is equal; ONNX has it for two axes only."""
    batch, channels, frames = x.shape[:3]  # len(x) would fix the number of clips
    planes = nn.functional.adaptive_avg_pool2d(x.contiguous().flatten(1, 2), (size[1], size[2]))
    lines = planes.reshape(batch, channels, frames, size[1] * size[2])
    return nn.functional.adaptive_avg_pool2d(lines, (size[0], lines.shape[-1])).reshape(batch, channels, *size)


def save_openvino(model: Model, path: Path, metadata: ExportMetadata) -> None:
    """Write an OpenVINO graph: .xml, .bin, and the metadata also as .json."""
    entries = _entries(metadata)
    for key, value in entries.items():
        model.set_rt_info(value, [key])
    try:
        openvino().save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:  # OpenVINO reports a full disk as "iostream error"
        do = "free some space or choose another folder"
        raise OutputError("cannot write the OpenVINO files (is the disk full?)", path.parent.parent, do) from error
    beside = {key: json.loads(value) for key, value in entries.items()}
    path.with_suffix(".json").write_text(json.dumps(beside, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _entries(metadata: ExportMetadata) -> Mapping[str, str]:
    """Metadata entries of a file, as JSON: labels and input, which every program needs, and everything."""
    card = metadata.card
    values = {"labels": list(card.labels), "input": card.input.to_json(), METADATA: metadata.to_json()}
    return {name: json.dumps(value, ensure_ascii=False, default=str) for name, value in values.items()}


def open_torch_export(path: Path, fixed_batch: int) -> ExportedScorer:
    """Open a torch.export file that this process wrote; those of others may hold code."""
    extra = {f"{METADATA}.json": ""}
    with quiet():
        module = torch.export.load(path, extra_files=extra).module()

    def run(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            return module(torch.from_numpy(clips)).numpy()

    metadata = ExportMetadata.from_json(extra[f"{METADATA}.json"], str(path))
    return ExportedScorer(str(path), metadata, run, fixed_batch=fixed_batch, precision="f32", batch_size=3)
