"""Faults of OpenVINO that Segship works around; a test that passes says that its workaround can go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from support import fill
from support.references import REFERENCES

openvino = pytest.importorskip("openvino", reason="pip install segship[openvino]")


def both(model: bytes, image: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """What ONNX Runtime and OpenVINO compute."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    (expected,) = onnxruntime.InferenceSession(model, options).run(None, {"image": image})
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return expected, compiled([image])[0]


@pytest.mark.xfail(reason="drop AveragePool from _NEVER in quantize/nncf.py when this passes")
def test_a_padded_pooling_of_integers_pads_with_zeros() -> None:
    """2026.4 pads with the integer zero, which stands for -2.56 here: the border is off by up to 1.4 of 0.9."""
    step, point = numpy_helper.from_array(np.float32(0.02), "step"), numpy_helper.from_array(np.uint8(128), "point")
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "step", "point"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "step", "point"], ["values"]),
        helper.make_node(
            "AveragePool",
            ["values"],
            ["pooled"],
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1] * 4,
            count_include_pad=1,
        ),
    ]
    shapes = ("image", [1, 4, 16, 16]), ("pooled", [1, 4, 8, 8])
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    graph = helper.make_graph(nodes, "pooling", [given], [made], [step, point])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    image = np.random.default_rng(1).standard_normal((1, 4, 16, 16)).astype(np.float32)
    expected, found = both(model.SerializeToString(), image)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.xfail(reason="drop unsigned_activations from INFO.passes in backends/openvino.py when this passes")
def test_a_convolution_reads_signed_values_that_were_joined() -> None:
    """2026.4 is off by 0.2 of 0.6; with values from 0 to 255 of the same meaning by nothing."""
    tensors = {
        "step": np.float32(0.013),
        "point": np.int8(-116),
        "weight": np.random.default_rng(1).integers(-63, 63, (8, 35, 1, 1)).astype(np.int8),
        "size": np.float32(0.005),
        "zero": np.int8(0),
    }
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 17]>
        joined (float[1, 35, 16, 16] image) => (float[1, 8, 16, 16] y) {
            large, small = Split <axis = 1> (image, sizes)
            largest = QuantizeLinear(large, step, point)
            first = DequantizeLinear(largest, step, point)
            smallest = QuantizeLinear(small, step, point)
            second = DequantizeLinear(smallest, step, point)
            both = Concat <axis = 1> (first, second)
            kernel = DequantizeLinear(weight, size, zero)
            y = Conv(both, kernel)
        }"""
    )
    arrays = {**tensors, "sizes": np.array([32, 3], np.int64)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items())
    image = np.random.default_rng(2).standard_normal((1, 35, 16, 16)).astype(np.float32)
    expected, found = both(model.SerializeToString(), image)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.xfail(reason="drop the Shape of a resize in capture/trace/functions/pooling.py when this passes")
def test_a_resize_between_integers_may_have_constant_channels() -> None:
    """The first resize of a DDRNet of few channels, as NNCF quantised it; its sizes end a Concat with a constant.

    Integer kernels differ by about 0.7 % of the greatest value, as this graph does with a size of the channels from a
    Shape; 2026.4 is off by 3.4 %, on a processor with VNNI and no AMX by 1.4 %. No smaller graph is known that shows
    it: every part of this one alone is right.
    """
    model = Path(REFERENCES, "still_broken", "openvino_int8_resize.onnx").read_bytes()
    assert "Resize" in {node.op_type for node in onnx.load_from_string(model).graph.node}
    expected, found = both(model, fill.image(128, 256))
    assert np.abs(found - expected).mean() / np.abs(expected).max() < 0.01


@pytest.mark.xfail(reason="drop _smoothed from capture/trace/functions/pooling.py when this passes")
def test_a_cubic_resize_smooths_where_it_shrinks() -> None:
    """2026.4 leaves ``antialias`` out of a cubic resize: 14x14 made 5x6 is off by more than a deviation."""
    how = {"mode": "cubic", "cubic_coeff_a": -0.5, "antialias": 1, "exclude_outside": 1}
    shapes = ("image", [1, 3, 14, 14]), ("resized", [1, 3, 5, 6])
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    sizes = numpy_helper.from_array(np.array(shapes[1][1], np.int64), "sizes")
    node = helper.make_node("Resize", ["image", "", "", "sizes"], ["resized"], **how)
    graph = helper.make_graph([node], "resize", [given], [made], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    image = np.random.default_rng(1).standard_normal((1, 3, 14, 14)).astype(np.float32)
    expected, found = both(model.SerializeToString(), image)
    np.testing.assert_allclose(found, expected, atol=1e-4)
