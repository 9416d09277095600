"""Write a static graph in the operators of an older opset, which vendors' converters read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import onnx
from onnx import helper, numpy_helper

from segship.core.errors import UnsupportedError
from segship.onnxgraph.build import Builder, Value
from segship.onnxgraph.nodes import replace_nodes
from segship.onnxgraph.operators import STANDARD_DOMAINS
from segship.onnxgraph.shapes import sides_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["lower_opset"]

_READERS = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9}  # opset -> version of the file format
_INPUT_AXES = 18  # from here on, reductions are given their axes as an input
_TEXTS = {"GridSample": {b"linear": b"bilinear", b"cubic": b"bicubic"}}  # of opset 20 and before it


def lower_opset(model: onnx.ModelProto, opset: int) -> bool:
    """Write each operator as the older opset has it; what it lacks is written in simpler operators.

    Args:
        model: Static, its constants folded; changed in place.
        opset: The version wanted, 13 to 20.

    Returns:
        Whether the model was newer.

    Raises:
        UnsupportedError: An operator cannot be said in that opset.
    """
    entry = next(each for each in model.opset_import if each.domain in STANDARD_DOMAINS)
    if entry.version <= opset:
        return False
    lowering = _Lowering(model, opset)
    nodes = [new for node in model.graph.node for new in lowering.lowered(node)]
    replace_nodes(model.graph, nodes)
    model.graph.initializer.extend(lowering.added)
    entry.version, model.ir_version = opset, min(model.ir_version, _READERS.get(opset, 7))
    return True


class _Lowering:
    def __init__(self, model: onnx.ModelProto, opset: int) -> None:
        self._opset = opset
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._shapes = sides_of(model)
        self.added: list[onnx.TensorProto] = []

    def lowered(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The node or nodes that say the same."""
        rules: dict[str, Callable[[onnx.NodeProto], list[onnx.NodeProto]]] = {
            "Gelu": self._gelu,
            "Split": self._split,
            "Resize": self._resize,
        }
        if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum":
            return self._reduced(node)
        if node.op_type in rules:
            return rules[node.op_type](node)
        return [self._same(node)]

    def _same(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """The node itself where the older opset has it with all it says; types and defaults are all that was added."""
        try:
            schema = onnx.defs.get_schema(node.op_type, self._opset)
        except onnx.defs.SchemaError:
            raise self._refusal(node, "the opset has no such operator") from None
        kept = []
        for attribute in node.attribute:
            texts = _TEXTS.get(node.op_type, {})
            if attribute.s in texts:
                attribute.s = texts[attribute.s]
            if attribute.name in schema.attributes:
                kept.append(attribute)
            elif not self._is_default(node, attribute):
                raise self._refusal(node, f"{attribute.name}={helper.get_attribute_value(attribute)} came later")
        inputs = [name for name in node.input if name]
        if len(inputs) > schema.max_input:
            raise self._refusal(node, f"it has {len(inputs)} inputs, {schema.max_input} are known")
        made = onnx.NodeProto()
        made.CopyFrom(node)
        del made.attribute[:]
        made.attribute.extend(kept)
        return made

    def _is_default(self, node: onnx.NodeProto, attribute: onnx.AttributeProto) -> bool:
        known = onnx.defs.get_schema(node.op_type).attributes.get(attribute.name)
        value = helper.get_attribute_value(attribute)
        if known is not None and known.default_value.type:
            return bool(helper.get_attribute_value(known.default_value) == value)
        return attribute.name == "dilations" and set(value) == {1}

    def _refusal(self, node: onnx.NodeProto, reason: str) -> UnsupportedError:
        return UnsupportedError(
            f"{node.op_type} {node.name or node.output[0]!r} cannot be written in opset {self._opset} of ONNX: {reason}"
        )

    def _constant(self, node: onnx.NodeProto, name: str) -> NDArray[np.generic]:
        if name not in self._weights:
            raise self._refusal(node, f"{name} is computed while it runs")
        return numpy_helper.to_array(self._weights[name])

    def _reduced(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """A reduction with its axes as an attribute."""
        if self._opset >= _INPUT_AXES or len(node.input) == 1:
            return [self._same(node)]
        axes = [int(axis) for axis in self._constant(node, node.input[1])]
        options = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if options.pop("noop_with_empty_axes", 0) and not axes:
            return [helper.make_node("Identity", node.input[:1], node.output, name=node.name)]
        if axes:
            options["axes"] = axes
        return [helper.make_node(node.op_type, node.input[:1], node.output, name=node.name, **options)]

    def _split(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """A split into parts whose lengths are named, where their number was."""
        options = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if options.pop("num_outputs", None) is None:
            return [self._same(node)]
        axis = options.get("axis", 0)
        lengths = [self._shapes[name][axis] for name in node.output]
        name = f"{node.output[0]}_lengths"
        self.added.append(helper.make_tensor(name, onnx.TensorProto.INT64, [len(lengths)], lengths))
        return [helper.make_node("Split", [node.input[0], name], node.output, name=node.name, **options)]

    def _resize(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """A resize of every axis, where it named those that change."""
        options: dict[str, Any] = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        axes = options.pop("axes", None)
        inputs = list(node.input)
        if axes is not None:
            sizes, name = self._shapes[node.output[0]], f"{node.output[0]}_sizes"
            self.added.append(helper.make_tensor(name, onnx.TensorProto.INT64, [len(sizes)], sizes))
            inputs = [node.input[0], "", "", name]
        changed = helper.make_node("Resize", inputs, node.output, name=node.name, **options)
        return [self._same(changed)]

    def _gelu(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """``x / 2 * (1 + erf(x / sqrt(2)))``, or its approximation by a hyperbolic tangent."""
        if self._opset >= onnx.defs.get_schema("Gelu").since_version:
            return [node]
        approximate = any(each.s == b"tanh" for each in node.attribute)
        builder = Builder(node.output[0])
        x = Value(builder, node.input[0], "float32")
        if approximate:
            inner = builder.add("Tanh", (x * x * x * 0.044715 + x) * math.sqrt(2 / math.pi))
        else:
            inner = builder.add("Erf", x * math.sqrt(0.5))
        _ = (inner + 1.0) * (x * 0.5)
        builder.nodes[-1].output[0] = node.output[0]
        self.added += builder.constants.values()
        return list(builder.nodes)
