from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime

from segship.onnxgraph.passes.floor_division import floor_division


def halved_sizes(least: int) -> onnx.ModelProto:
    """``(least - length(x)) // 2`` and ``length(x) // 2``, as torch's exporter writes them."""
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    halves (float[n] x) => (int64[1] below, int64[1] plain) {{
        size = Shape(x)
        minus = Constant<value_ints: ints = [-1]> ()
        least = Constant<value_ints: ints = [{least}]> ()
        two = Constant<value_ints: ints = [2]> ()
        negative = Mul(minus, size)
        sum = Add(least, negative)
        below = Div(sum, two)
        plain = Div(size, two)
    }}"""
    return onnx.parser.parse_model(text)


def test_sizes_are_divided_as_python_divides() -> None:
    model = halved_sizes(7)
    floor_division(model)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for length in (1, 6, 7, 8, 9, 12, 15):
        below, plain = session.run(None, {"x": np.zeros(length, np.float32)})
        assert (below.item(), plain.item()) == ((7 - length) // 2, length // 2)


def test_a_division_that_cannot_be_negative_stays_one_node() -> None:
    model = halved_sizes(7)
    floor_division(model)
    assert [node.op_type for node in model.graph.node].count("Div") == 2
    assert [node.op_type for node in model.graph.node].count("Mod") == 1
