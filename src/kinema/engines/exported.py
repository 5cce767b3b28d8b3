"""Files of `kinema export` as networks: what is in them, and running them with ONNX Runtime or OpenVINO.

Such a file needs no code of ours to run, see docs/howto/export.md. Here it takes a checkpoint's place, so that timeline,
segments and evaluation are those of the checkpoint. It says itself how it wants to be fed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch

from kinema.clips.framewise import plan_frames
from kinema.engines.openvino import ClipGraph, core
from kinema.engines.options import EngineOptions, EngineOverrides
from kinema.engines.scorer import ClipScorer, Scorer, usual_batch
from kinema.errors import CheckpointError, KinemaError, MissingExtra, UsageError
from kinema.models.device import resolve_device, resolve_precision
from kinema.weights.checkpoint import ModelCard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.clips.windows import Plan

ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}
"""File endings of the formats."""

METADATA = "kinema"
"""The key of the metadata under which a file holds everything, as JSON: `card`, `causal` and `made_with`."""

Run = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]


def is_exported(model: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a file of `kinema export`."""
    return Path(model).suffix.lower() in ENDINGS.values()


class ExportedScorer(ClipScorer):
    """An exported file that scores clips. The file gives scores; the logits here are those that lead to them.

    Args:
        path: for messages.
        about: the file's metadata.
        run: scores of uint8 clips [b c t h w].
        fixed_batch: how many clips the graph takes at once; 0: any number.
        precision: f32, bf16, fp16 or int8.
        batch_size: most clips at once.
    """

    def __init__(
        self, path: str, about: dict[str, Any], run: Run, *, fixed_batch: int, precision: str, batch_size: int
    ) -> None:
        self.path, self._run = path, run
        self.card, self.causal = ModelCard.from_json(about["card"]), bool(about["causal"])
        self.spec, self.device, self.precision = self.card.input, torch.device("cpu"), precision
        self.batch_size = fixed_batch or batch_size

    def __call__(self, clips: torch.Tensor) -> NDArray[np.float32]:
        """Logits [b classes]; [b t classes] of a network that answers at each frame."""
        parts = [self._run(part.numpy()) for part in torch.split(clips, self.batch_size)]
        scores = torch.from_numpy(np.concatenate(parts))
        return (scores.logit() if self.card.multi_label else scores.log()).numpy()

    def frame_plan(self) -> Plan:
        """Which clips of a video a network of task `frame` is shown."""
        return partial(plan_frames, causal=self.causal)

    def in_torch(self) -> Scorer:
        """Raises UsageError: a file has scores, and no layers."""
        raise UsageError("an exported file gives scores only", self.path, "give the checkpoint it was made of")


def open_exported(
    path: str | os.PathLike[str], options: EngineOptions | None = None, **overrides: Unpack[EngineOverrides]
) -> tuple[ExportedScorer, ModelCard]:
    """An exported file, ready to score clips, and its card.

    Args:
        path: an .onnx or .xml file of `kinema export`.
        options: the device is "auto" or "cpu", for .onnx "cuda" too, where ONNX Runtime has it. The precision of an .onnx
            file is "auto" or "f32", of an int8 .xml "auto" or "int8", of another .xml any but int8. The file's ending
            chooses the engine, so that "openvino" is refused for .onnx, and "winograd" for all.
        overrides: fields of `options` to change.

    Raises:
        CheckpointError: it is not there, damaged, or was not made by `kinema export`.
        MissingExtra: what runs it is not installed.
        UsageError: a device, precision or engine that it cannot have.
    """
    options = EngineOptions.of(options, **overrides)
    name, ending = os.fspath(path), Path(path).suffix.lower()
    if ending == ENDINGS["torch-export"]:  # torch reads it with pickle, which can run code
        raise UsageError("a torch.export file may hold code", name, "export it with --format onnx to run it here")
    if ending == ENDINGS["onnx"] and options.engine == "openvino":
        raise UsageError("an .onnx file runs in ONNX Runtime", "--engine openvino", "export it with --format openvino")
    if options.engine == "winograd":
        do = "give the checkpoint that it was made of, or leave the engine out"
        raise UsageError("an exported file has an engine of its own", "--engine winograd", do)
    if not Path(name).is_file():
        raise CheckpointError("no such file", name, "make it with `kinema export`")
    try:
        scorer = (_open_onnx if ending == ENDINGS["onnx"] else _open_openvino)(name, options)
    except KinemaError:
        raise
    except Exception as error:  # each library has errors of its own for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"cannot be read ({reason[:200]})", name, "export it again") from error
    return scorer, scorer.card


def _open_onnx(path: str, options: EngineOptions) -> ExportedScorer:
    if options.precision not in ("auto", "f32"):
        raise UsageError(
            "an .onnx file has its own number format, f32", f"--precision {options.precision}", "leave it out"
        )
    session = onnx_session(path, options.device)
    about = _about(session.get_modelmeta().custom_metadata_map.get(METADATA), path)
    batch = session.get_inputs()[0].shape[0]

    def run(clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        return session.run(["scores"], {"clip": clips})[0]

    fixed = batch if isinstance(batch, int) else 0
    return ExportedScorer(
        path, about, run, fixed_batch=fixed, precision="f32", batch_size=options.batch_size or _usual_batch(about)
    )


def onnx_session(path: str, device: str = "auto") -> Any:
    """An ONNX Runtime session on the CPU, or on the GPU where that is asked for.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        UsageError: it has no such device.
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
    precision = options.precision
    if options.device not in ("auto", "cpu"):
        raise UsageError("OpenVINO runs on the CPU here", f"--device {options.device}", "give --device cpu")
    model = core().read_model(path)
    text = model.get_rt_info([METADATA]).astype(str) if model.has_rt_info([METADATA]) else None
    about = _about(text, path)
    is_int8 = about.get("precision") == "int8"
    if is_int8 and precision not in ("auto", "int8"):
        raise UsageError("this file has its own number format, int8", f"--precision {precision}", "leave it out")
    chosen = resolve_precision("auto" if is_int8 else precision, resolve_device("cpu"))
    at_once = options.batch_size or _usual_batch(about)
    graph = ClipGraph(model, chosen, at_once)  # of an int8 file its other layers
    return ExportedScorer(
        path, about, graph, fixed_batch=graph.fixed_batch, precision="int8" if is_int8 else chosen, batch_size=at_once
    )


def _usual_batch(about: dict[str, Any]) -> int:
    return usual_batch(ModelCard.from_json(about["card"]).input, torch.device("cpu"))


def _about(text: str | None, path: str) -> dict[str, Any]:
    if text is None:
        raise CheckpointError("this file does not say how it wants to be fed", path, "make it with `kinema export`")
    try:
        about = json.loads(text)
        ModelCard.from_json(about["card"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError("its metadata is damaged", path, "export it again") from error
    return about
