import numpy as np
import pytest

from kinema.engines import onnx_graph
from kinema.errors import CheckpointError, MissingExtra


@pytest.fixture
def adder(tmp_path) -> str:
    """A graph with outputs x + 1 and the sum of x."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Add", ["x", "one"], ["more"]), helper.make_node("ReduceMax", ["x"], ["top"], keepdims=1)]
    results = [helper.make_tensor_value_info(name, kind, shape) for name, shape in (("more", (1, 3)), ("top", (1, 1)))]
    one = onnx.numpy_helper.from_array(np.ones((1, 3), np.float32), "one")
    graph = helper.make_graph(nodes, "adder", [helper.make_tensor_value_info("x", kind, (1, 3))], results, [one])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "a.onnx")
    return str(tmp_path / "a.onnx")


@pytest.mark.parametrize("with_openvino", [True, False])
def test_outputs_come_in_the_order_of_the_inputs(adder, monkeypatch, with_openvino):
    if not with_openvino:
        monkeypatch.setattr(
            onnx_graph, "core", lambda: (_ for _ in ()).throw(MissingExtra("graphs", "openvino", "openvino"))
        )
    graph = onnx_graph.open_onnx(adder)
    assert (graph.inputs, graph.outputs) == (((1, 3),), ((1, 3), (1, 1)))
    found = list(graph.run(np.full((1, 3), number, np.float32) for number in range(7)))
    assert [(more[0, 0], top[0, 0]) for more, top in found] == [(number + 1, number) for number in range(7)]
    assert list(graph.run([])) == []


def test_a_file_that_is_no_graph_is_one_error(tmp_path):
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(CheckpointError, match=r"cannot be read .*text.onnx"):
        onnx_graph.open_onnx(str(tmp_path / "text.onnx"))
