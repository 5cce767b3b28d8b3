"""Graphs for OpenVINO (https://docs.openvino.ai), which runs them on a CPU faster than torch does.

OpenVINO chooses its own number format where it is not told, so it always is: with bfloat16 the scores of a network
differ in the second or third digit, which must be somebody's wish.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch

from kinema.errors import MissingExtra
from kinema.inference.tracing import cannot_convert, quiet

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_HINTS = {"f32": "f32", "bf16": "bf16", "fp16": "f16"}


def openvino() -> Any:
    """The package; its usage statistics are left out, which importing it would send.

    Raises:
        MissingExtra: it is not installed.
    """
    counter = "openvino_telemetry"
    before = sys.modules.get(counter)
    sys.modules[counter] = None  # type: ignore[assignment]  # importing it fails, and OpenVINO does without
    try:
        with quiet():
            import openvino as package
    except ImportError as error:
        raise MissingExtra("OpenVINO graphs", "openvino", "openvino") from error
    finally:
        del sys.modules[counter]
        if before is not None:
            sys.modules[counter] = before
    return package


def to_openvino(program: ExportedProgram, name: str, output: str) -> Any:
    """An OpenVINO model of a traced network; its input is called "clip".

    Args:
        program: see `kinema.inference.tracing`.
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


def compile_graph(model: Any, precision: str) -> Any:
    """Ready to run on the CPU, on as many cores as torch may use; called with a list of one array.

    Args:
        model: an `openvino.Model`.
        precision: f32, bf16 or fp16.
    """
    properties = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    return openvino().Core().compile_model(model, "CPU", properties)
