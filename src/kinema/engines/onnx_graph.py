"""Run any ONNX file on the CPU: in OpenVINO if it is installed, else in ONNX Runtime."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.engines.exported import onnx_session
from kinema.engines.openvino import core
from kinema.errors import CheckpointError, KinemaError, MissingExtra
from kinema.machine import num_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from openvino import InferRequest

    Arrays = Sequence[NDArray[np.float32]]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """An open ONNX file.

    Args:
        inputs: shapes of its inputs; -1 for an open size.
        outputs: shapes of its outputs.
        run: the outputs for each of some arrays, in order, where there is one input. The next arrays are taken while earlier ones
            are computed.
    """

    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    run: Callable[[Iterable[NDArray[np.float32]]], Iterator[Arrays]]


def open_onnx(path: str) -> OnnxGraph:
    """Open a file.

    Raises:
        CheckpointError: it is damaged or no ONNX file.
        MissingExtra: neither OpenVINO nor ONNX Runtime is installed.
    """
    try:
        try:
            return _in_openvino(path)
        except MissingExtra:
            return _in_onnxruntime(path)
    except KinemaError:
        raise
    except Exception as error:  # each runtime has its own errors for damaged files
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        do = "it may be cut off or no ONNX file: download or export it again"
        raise CheckpointError(f"cannot be read ({lines[-1][:120]})", path, do) from error


def _in_openvino(path: str) -> OnnxGraph:
    model = core().read_model(path)
    # Each core computes a frame of its own: for small networks this is faster than all cores on one frame.
    properties = {
        "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": num_cores(), "NUM_STREAMS": num_cores(), "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    compiled = core().compile_model(model, "CPU", properties)
    requests = [compiled.create_infer_request() for _ in range(num_cores())]

    def run(arrays: Iterable[NDArray[np.float32]]) -> Iterator[Arrays]:
        # All requests are started from one thread: started from several, OpenVINO 2026.4 stops for ever.
        free = list(requests)
        busy: deque[InferRequest] = deque()

        def finished() -> Arrays:
            free.append(busy.popleft())
            free[-1].wait()
            return [np.array(tensor.data) for tensor in free[-1].output_tensors]

        for array in arrays:
            if not free:
                yield finished()
            busy.append(free.pop())
            busy[-1].start_async([array])
        while busy:
            yield finished()

    inputs, outputs = (
        tuple(tuple(side.get_length() if side.is_static else -1 for side in port.partial_shape) for port in ports)
        for ports in (model.inputs, model.outputs)
    )
    return OnnxGraph(inputs, outputs, run)


def _in_onnxruntime(path: str) -> OnnxGraph:
    session = onnx_session(path)
    inputs, outputs = (
        tuple(tuple(side if isinstance(side, int) else -1 for side in port.shape) for port in ports)
        for ports in (session.get_inputs(), session.get_outputs())
    )
    name = session.get_inputs()[0].name
    return OnnxGraph(inputs, outputs, lambda arrays: (session.run(None, {name: array}) for array in arrays))
