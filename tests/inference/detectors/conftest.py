"""Small ONNX files of known layouts that find the same boxes in every frame."""

from pathlib import Path

import numpy as np
import pytest


def write_onnx(path: Path, size: tuple[int, int], outputs: list[np.ndarray]) -> str:
    """A file whose outputs do not depend on the frame."""
    onnx = pytest.importorskip("onnx")
    helper, nodes, values = onnx.helper, [], []
    nodes.append(helper.make_node("ReduceMax", ["frame"], ["top"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["top", "zero"], ["nothing"]))
    for number, output in enumerate(outputs):
        values.append(onnx.numpy_helper.from_array(output, f"kept{number}"))
        nodes.append(helper.make_node("Add", [f"kept{number}", "nothing"], [f"out{number}"]))
    kind = onnx.TensorProto.FLOAT
    values.append(onnx.numpy_helper.from_array(np.float32(0).reshape(()), "zero"))
    results = [helper.make_tensor_value_info(f"out{n}", kind, output.shape) for n, output in enumerate(outputs)]
    frame = helper.make_tensor_value_info("frame", kind, (1, 3, *size))
    graph = helper.make_graph(nodes, "detector", [frame], results, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return str(path)


@pytest.fixture(scope="session")
def fastestdet(tmp_path_factory) -> str:
    """Finds one person in the middle of a frame, half as high and a quarter as wide, and one dog at the same place."""
    output = np.zeros((1, 85, 4, 4), np.float32)
    for column, (kind, score) in enumerate(((5, 0.9), (5 + 16, 0.8)), start=2):
        shift = np.arctanh(np.float32(2 - column + 1e-7)) if column > 2 else 0
        output[0, [0, 1, 3, 4, kind], 2, column] = [score, max(shift, -20), np.log(1 / 3), 0, score]
    return write_onnx(tmp_path_factory.mktemp("onnx") / "fastestdet.onnx", (64, 64), [output])
