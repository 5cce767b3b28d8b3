"""Convert traced networks to OpenVINO graphs (https://docs.openvino.ai) and run them on the CPU.

The precision is always set, because OpenVINO otherwise chooses it by the processor. With bfloat16 a network's scores differ
in the second or third digit, so bfloat16 must be somebody's choice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.engines.trace import cannot_convert, quiet
from kinema.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray
    from openvino import CompiledModel, Core, Model
    from torch.export import ExportedProgram

_HINTS = {"f32": "f32", "bf16": "bf16", "fp16": "f16"}


def openvino() -> ModuleType:
    """Import the package without its usage statistics, which it would send at import.

    Raises:
        MissingExtra: OpenVINO is not installed.
    """
    try:
        with without_statistics(), quiet():
            import openvino as package
    except ImportError as error:
        raise MissingExtra("OpenVINO graphs", "openvino", "openvino") from error
    return package


@cache
def core() -> Core:
    """OpenVINO's `Core`, created once and kept until the process ends.

    Loading the CPU plugin gives the loading thread another signal stack. Unloading the plugin frees that stack in the
    thread that drops the last graph; the next signal that Python handles (Ctrl-C, the end of a worker) then crashed the
    process. Keeping one `Core` keeps the plugin loaded.

    Raises:
        MissingExtra: OpenVINO is not installed.
    """
    return openvino().Core()


@contextmanager
def without_statistics() -> Iterator[None]:
    """Make the import of OpenVINO's telemetry package fail; OpenVINO's packages then use a stub that sends nothing."""
    telemetry = "openvino_telemetry"
    before = sys.modules.get(telemetry)
    sys.modules[telemetry] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[telemetry]
        if before is not None:
            sys.modules[telemetry] = before


def to_openvino(program: ExportedProgram, name: str, output: str) -> Model:
    """Convert a traced network; the input is called "clip".

    Args:
        program: see `kinema.engines.trace`.
        name: name of the network, for messages.
        output: name of the graph's output.

    Raises:
        MissingExtra: OpenVINO is not installed.
        OutputError: OpenVINO has no counterpart for a layer.
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
    """A graph that is compiled for whole batches and for single clips, each at its first use.

    A graph with an open batch size takes 5 to 15 % longer, and recurrent layers in it 50 % longer, because OpenVINO cannot
    choose memory layouts in advance. The rest of an incomplete batch is computed clip by clip, which takes hardly longer
    per clip.

    Args:
        model: a graph with an open or a fixed batch size.
        precision: see `compile_graph`.
        batch_size: clips in a whole batch; ignored if the graph's batch size is fixed.
    """

    def __init__(self, model: Model, precision: str, batch_size: int) -> None:
        batch = model.inputs[0].partial_shape[0]
        self.fixed_batch = batch.get_length() if batch.is_static else 0
        self.batch_size = self.fixed_batch or batch_size
        self._model, self._precision = model, precision
        self._compiled: dict[int, CompiledModel] = {}

    def __call__(self, clips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Output rows of any number of clips [n c t h w], in order.

        Raises:
            RuntimeError: OpenVINO cannot run the graph.
        """
        num_whole = len(clips) - len(clips) % self.batch_size
        sizes = [self.batch_size] * (num_whole // self.batch_size) + [1] * (len(clips) - num_whole)
        rows = []
        for part in np.split(clips, np.cumsum(sizes)[:-1]):
            count = len(part)
            if count not in self._compiled:
                model = self._model if self.fixed_batch else self._model.clone()
                if not self.fixed_batch:
                    model.reshape([count, *(size.get_length() for size in list(model.inputs[0].partial_shape)[1:])])
                self._compiled[count] = compile_graph(model, self._precision)
            rows.append(self._compiled[count]([part])[0])
        return np.concatenate(rows)


def compile_graph(model: Model, precision: str) -> CompiledModel:
    """Compile a graph for the CPU, with as many threads as torch may use; it is called with a list of one array.

    The hint "LATENCY" lets all cores work on one batch: a scorer passes one batch and waits for it, so several streams would
    be idle. Pinning is off, because pinned threads would compete with the decoders' threads: `predict` took 10 % less time
    without it, inference alone the same. Flushing denormal numbers to zero made no difference here.

    Args:
        model: the graph.
        precision: f32, bf16 or fp16; in an int8 graph, that of the layers that are not int8.
    """
    properties = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    return core().compile_model(model, "CPU", properties)
