"""Graphs for OpenVINO (https://docs.openvino.ai), which runs them on a CPU faster than torch does.

OpenVINO chooses its own number format where it is not told, so it always is: with bfloat16 the scores of a network
differ in the second or third digit, which must be somebody's wish.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kinema.engines.trace import cannot_convert, quiet
from kinema.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.export import ExportedProgram

_HINTS = {"f32": "f32", "bf16": "bf16", "fp16": "f16"}


def openvino() -> Any:
    """The package; its usage statistics are left out, which importing it would send.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        with without_statistics(), quiet():
            import openvino as package
    except ImportError as error:
        raise MissingExtra("OpenVINO graphs", "openvino", "openvino") from error
    return package


@cache
def core() -> Any:
    """OpenVINO's entry, one for the whole process, which stays until the process ends.

    Loading its CPU plugin gives the thread that does it another stack for signals, and unloading it takes that away
    again in whichever thread drops the last graph. The next signal that Python handles (Ctrl-C, a worker's end) then
    ended the process; so the plugin is never unloaded.

    Raises:
        MissingExtra: OpenVINO is not installed.
    """
    return openvino().Core()


@contextmanager
def without_statistics() -> Iterator[None]:
    """Let OpenVINO's packages be imported without what would send their use: importing that fails, and they do without."""
    counter = "openvino_telemetry"
    before = sys.modules.get(counter)
    sys.modules[counter] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[counter]
        if before is not None:
            sys.modules[counter] = before


def to_openvino(program: ExportedProgram, name: str, output: str) -> Any:
    """An OpenVINO model of a traced network; its input is called "clip".

    Args:
        program: see `kinema.engines.trace`.
        name: of the network, for messages.
        output: what its output shall be called.

    Raises:
        MissingExtra: OpenVINO is not installed.
        OutputError: a layer has no counterpart there.
    """
    package = openvino()
    example = program.example_inputs[0][0]
    batch = -1 if program.range_constraints else len(example)
    try:
        with quiet():
            model = package.convert_model(program)
            model.reshape([batch, *example.shape[1:]])
    except Exception as error:
        raise cannot_convert(name, "an OpenVINO graph", error) from error
    model.inputs[0].set_names({"clip"})
    model.outputs[0].set_names({output})
    return model


class ClipGraph:
    """A graph that is compiled for whole batches and for single clips, each when the first ones come.

    A graph of open shape takes 5 to 15 % longer, recurrent layers in it half as long again: OpenVINO then cannot choose
    layouts beforehand. What is left over of a batch goes through one by one, which takes hardly longer a clip.

    Args:
        model: an `openvino.Model`, for any number of clips or for a fixed one.
        precision: see `compile_graph`.
        batch_size: clips in a whole batch; that of a model of fixed shape is its own.
    """

    def __init__(self, model: Any, precision: str, batch_size: int) -> None:
        batch = model.inputs[0].partial_shape[0]
        self.fixed_batch = batch.get_length() if batch.is_static else 0
        self.batch_size = self.fixed_batch or batch_size
        self._model, self._precision = model, precision
        self._compiled: dict[int, Any] = {}

    def __call__(self, clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What comes out for any number of clips [n c t h w], in their order.

        Raises:
            RuntimeError: the graph cannot be run.
        """
        whole = len(clips) - len(clips) % self.batch_size
        sizes = [self.batch_size] * (whole // self.batch_size) + [1] * (len(clips) - whole)
        parts = np.split(clips, np.cumsum(sizes)[:-1])
        return np.concatenate([self._for(len(part))([part])[0] for part in parts])

    def _for(self, count: int) -> Any:
        if count not in self._compiled:
            model = self._model if self.fixed_batch else self._model.clone()
            if not self.fixed_batch:
                model.reshape([count, *(size.get_length() for size in list(model.inputs[0].partial_shape)[1:])])
            self._compiled[count] = compile_graph(model, self._precision)
        return self._compiled[count]


def compile_graph(model: Any, precision: str) -> Any:
    """Ready to run on the CPU, on as many cores as torch may use; called with a list of one array.

    All cores work on one batch ("LATENCY"): whoever scores hands over a batch and waits for it, so that several streams
    would find nothing to do. Its threads are not tied to cores, so that they make room for those that decode: `predict`
    took a tenth less, inference alone the same. Numbers too small to be normal are not worth an option: it changed
    nothing here.

    Args:
        model: an `openvino.Model`.
        precision: f32, bf16 or fp16; of a model with int8 layers that of the others.
    """
    properties = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    return core().compile_model(model, "CPU", properties)
