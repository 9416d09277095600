from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from segship.onnxgraph.passes.restore_layers import quantized_layers, restore_layers
from segship.quantize.search import rank_layers

WEIGHTS = {"first": 0.5, "second": 0.37}
BIASES = {"first": 0.25, "second": 0.11}
SCALES = {"first": 0.01, "second": 1.0}  # the second is quantised far too coarsely


def original() -> onnx.ModelProto:
    nodes, tensors, previous = [], [], "image"
    for name, weight in WEIGHTS.items():
        tensors += [constant(f"{name}.weight", [[[[weight]]]]), constant(f"{name}.bias", [BIASES[name]])]
        output = "logits" if name == "second" else f"{name}.out"
        nodes.append(helper.make_node("Conv", [previous, f"{name}.weight", f"{name}.bias"], [output], name=name))
        previous = output
    return model(nodes, tensors)


def quantized() -> onnx.ModelProto:
    nodes, tensors, previous = [], [], "image"
    for name, weight in WEIGHTS.items():
        scale = SCALES[name]
        tensors += [
            constant(f"{name}.scale", scale),
            constant(f"{name}.weight.scale", scale),
            numpy_helper.from_array(np.array([[[[round(weight / scale)]]]], np.int8), f"{name}.weight.q"),
            constant(f"{name}.bias", [BIASES[name] + 1]),  # corrected, as tools do under the same name
        ]
        nodes += [
            helper.make_node("QuantizeLinear", [previous, f"{name}.scale"], [f"{name}.q"]),
            helper.make_node("DequantizeLinear", [f"{name}.q", f"{name}.scale"], [f"{name}.dq"]),
            helper.make_node("DequantizeLinear", [f"{name}.weight.q", f"{name}.weight.scale"], [f"{name}.weight.dq"]),
        ]
        output = "logits" if name == "second" else f"{name}.out"
        inputs = [f"{name}.dq", f"{name}.weight.dq", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [output], name=name))
        previous = output
    return model(nodes, tensors)


def constant(name: str, value: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, np.float32), name)


def model(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto]) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 2, 2])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, 2, 2])
    graph = helper.make_graph(nodes, "two layers", [image], [logits], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(graph: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(graph)
    return onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"image": image})[0]


Run = Callable[[np.ndarray], np.ndarray]

IMAGE = np.array([[[[0.1, 0.2], [0.3, 0.4]]]], np.float32)


def test_quantised_layers_are_those_fed_by_dequantised_values() -> None:
    assert quantized_layers(quantized()) == ("first", "second")
    assert quantized_layers(original()) == ()


def test_restoring_everything_gives_the_original_back() -> None:
    whole = restore_layers(quantized(), original(), ["first", "second"])
    assert np.array_equal(run(whole, IMAGE), run(original(), IMAGE))
    assert {node.op_type for node in whole.graph.node} == {"Conv"}
    assert quantized_layers(whole) == ()


@pytest.mark.parametrize("name", ["first", "second"])
def test_restoring_one_layer_leaves_the_other_quantised(name: str) -> None:
    other = next(iter({"first", "second"} - {name}))
    assert quantized_layers(restore_layers(quantized(), original(), [name])) == (other,)


def test_the_quantised_graph_is_left_alone() -> None:
    before = quantized()
    copy = before.SerializeToString(deterministic=True)
    restore_layers(before, original(), ["first"])
    assert before.SerializeToString(deterministic=True) == copy


def test_the_layer_that_does_most_damage_comes_first() -> None:
    layers = quantized_layers(quantized())

    def alone(name: str) -> Run:
        return functools.partial(run, restore_layers(quantized(), original(), set(layers) - {name}))

    ranked = rank_layers(layers, [IMAGE], functools.partial(run, original()), alone)
    # Each is quantised alone; its bias is off by one in both, its values much more in the second.
    assert [name for name, _ in ranked] == ["second", "first"]
    assert ranked[0][1] > ranked[1][1] > 0
