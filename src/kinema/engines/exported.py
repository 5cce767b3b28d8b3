"""Run files of `kinema export` with ONNX Runtime or OpenVINO, in place of a checkpoint.

Such a file runs without kinema, see docs/howto/export.md. Here it gives the same timelines, segments and figures as the
checkpoint that it was made from. Its metadata describe the clips that it takes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch

from kinema.clips.framewise import plan_frames
from kinema.engines.engine import find_engine
from kinema.engines.openvino import ClipGraph, core
from kinema.engines.options import EngineOptions, EngineOverrides
from kinema.engines.scorer import ClipScorer, Scorer, usual_batch
from kinema.errors import CheckpointError, KinemaError, MissingExtra, UsageError
from kinema.models.device import resolve_device, resolve_precision
from kinema.weights.checkpoint import ModelCard, typed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

    from kinema.clips.windows import Plan

ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}
"""File endings of the formats."""

METADATA = "kinema"
"""Name of the metadata entry that holds an `ExportMetadata` as JSON."""

RunGraph = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]
"""Scores of uint8 clips [b c t h w]."""


@dataclass(frozen=True)
class ExportMetadata:
    """What an exported file says about its network.

    Args:
        card: labels, input and task.
        causal: each frame's scores depend on this frame and earlier ones only.
        precision: "f32" or "int8".
        made_with: versions of the packages that wrote the file.
    """

    card: ModelCard
    causal: bool
    precision: str = "f32"
    made_with: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """As a plain dictionary."""
        return {
            "card": self.card.to_json(),
            "causal": self.causal,
            "scores": "sigmoid" if self.card.multi_label else "softmax",
            "precision": self.precision,
            "made_with": self.made_with,
        }

    @classmethod
    def from_json(cls, text: str | None, path: str) -> ExportMetadata:
        """Read the metadata of a file.

        Args:
            text: JSON; None if the file has no such entry.
            path: the file, for messages.

        Raises:
            CheckpointError: the entry is missing or damaged.
        """
        if text is None:
            raise CheckpointError("this file does not describe its input", path, "make it with `kinema export`")
        try:
            values = json.loads(text)
            card, precision = ModelCard.from_json(values["card"]), str(values.get("precision", "f32"))
            causal = typed(values, "causal", bool)  # "false" would be true
            return cls(card, causal, precision, dict(values.get("made_with", {})))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError("its metadata is damaged", path, "export it again") from error


def is_exported(model: str | os.PathLike[str]) -> bool:
    """Whether a name ends like a file of `kinema export`."""
    return Path(model).suffix.lower() in ENDINGS.values()


class ExportedScorer(ClipScorer):
    """An exported file that scores clips. The file gives scores; the scorer gives logits that lead to these scores.

    Args:
        path: the file, for messages.
        metadata: the file's metadata.
        run: scores of uint8 clips [b c t h w].
        fixed_batch: batch size of the graph; 0: any.
        precision: f32, bf16, fp16 or int8.
        batch_size: largest number of clips at once; None: see `usual_batch`.
    """

    def __init__(
        self, path: str, metadata: ExportMetadata, run: RunGraph, *,
        fixed_batch: int, precision: str, batch_size: int | None,
    ) -> None:  # fmt: skip
        self.path, self._run = path, run
        self.card, self.causal = metadata.card, metadata.causal
        self.spec, self.device, self.precision = self.card.input, torch.device("cpu"), precision
        self.batch_size = fixed_batch or batch_size or usual_batch(self.spec, self.device)

    def __call__(self, clips: torch.Tensor) -> NDArray[np.float32]:
        """Logits [b classes]; [b t classes] for task `frame`."""
        parts = [self._run(part.numpy()) for part in torch.split(clips, self.batch_size)]
        scores = torch.from_numpy(np.concatenate(parts))
        return (scores.logit() if self.card.multi_label else scores.log()).numpy()

    def frame_plan(self) -> Plan:
        """The function that plans the clips of a video for task `frame`."""
        return partial(plan_frames, causal=self.causal)

    def in_torch(self) -> Scorer:
        """Raises UsageError: the file has no layers."""
        raise UsageError("an exported file gives scores only", self.path, "give the checkpoint it was made of")


def open_exported(
    path: str | os.PathLike[str], options: EngineOptions | None = None, **overrides: Unpack[EngineOverrides]
) -> tuple[ExportedScorer, ModelCard]:
    """Open an exported file for scoring; returns the scorer and its card.

    Args:
        path: an .onnx or .xml file of `kinema export`.
        options: the device is "auto" or "cpu", for .onnx also "cuda" if ONNX Runtime supports it. The precision of an .onnx
            file is "auto" or "f32", of an int8 .xml "auto" or "int8", of another .xml any but int8. The file's ending
            chooses the engine, so that "openvino" is refused for .onnx.
        overrides: fields of `options` to change.

    Raises:
        CheckpointError: the file is missing, damaged, or not from `kinema export`.
        MissingExtra: the runtime is not installed.
        UsageError: the file cannot run with this device, precision or engine.
    """
    options = EngineOptions.of(options, **overrides)
    name, ending = os.fspath(path), Path(path).suffix.lower()
    if ending == ENDINGS["torch-export"]:  # torch reads it with pickle, which can run code
        raise UsageError("a torch.export file may hold code", name, "export it with --format onnx to run it here")
    if ending == ENDINGS["onnx"] and options.engine == "openvino":
        raise UsageError("an .onnx file runs in ONNX Runtime", "--engine openvino", "export it with --format openvino")
    if options.engine not in ("auto", "torch", "openvino"):
        do = "leave the engine out, or give the checkpoint that it was made of"
        raise UsageError(
            "an exported file has an engine of its own", f"--engine {find_engine(options.engine).title}", do
        )
    if not Path(name).is_file():
        raise CheckpointError("no such file", name, "make it with `kinema export`")
    try:
        scorer = (_open_onnx if ending == ENDINGS["onnx"] else _open_openvino)(name, options)
    except KinemaError:
        raise
    except Exception as error:  # each runtime has its own errors for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"cannot be read ({reason[:200]})", name, "export it again") from error
    return scorer, scorer.card


def _open_onnx(path: str, options: EngineOptions) -> ExportedScorer:
    if options.precision not in ("auto", "f32"):
        what = "an .onnx file has its own number format, f32"
        raise UsageError(what, f"--precision {options.precision}", "leave it out")
    session = onnx_session(path, options.device)
    metadata = ExportMetadata.from_json(session.get_modelmeta().custom_metadata_map.get(METADATA), path)
    batch = session.get_inputs()[0].shape[0]

    def run(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        return session.run(["scores"], {"clip": clips})[0]

    fixed = batch if isinstance(batch, int) else 0
    return ExportedScorer(path, metadata, run, fixed_batch=fixed, precision="f32", batch_size=options.batch_size)


def onnx_session(path: str, device: str = "auto") -> InferenceSession:
    """Open a file with ONNX Runtime, on the CPU or on the requested GPU.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        UsageError: ONNX Runtime does not support this device here.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("ONNX files", "onnxruntime", "export") from error
    providers = ["CPUExecutionProvider"]
    if device not in ("auto", "cpu"):
        if not device.startswith("cuda") or "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise UsageError("ONNX Runtime has no such device here", device, "give --device cpu")
        providers = ["CUDAExecutionProvider", *providers]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=providers)


def _open_openvino(path: str, options: EngineOptions) -> ExportedScorer:
    if options.device not in ("auto", "cpu"):
        raise UsageError("OpenVINO runs on the CPU here", f"--device {options.device}", "give --device cpu")
    model = core().read_model(path)
    text = model.get_rt_info([METADATA]).astype(str) if model.has_rt_info([METADATA]) else None
    metadata = ExportMetadata.from_json(text, path)
    is_int8 = metadata.precision == "int8"
    if is_int8 and options.precision not in ("auto", "int8"):
        what = "this file has its own number format, int8"
        raise UsageError(what, f"--precision {options.precision}", "leave it out")
    precision = resolve_precision("auto" if is_int8 else options.precision, resolve_device("cpu"))
    batch_size = options.batch_size or usual_batch(metadata.card.input, torch.device("cpu"))
    graph = ClipGraph(model, precision, batch_size)  # in an int8 file, the precision of its other layers
    return ExportedScorer(
        path, metadata, graph, fixed_batch=graph.fixed_batch, precision="int8" if is_int8 else precision,
        batch_size=batch_size,
    )  # fmt: skip
