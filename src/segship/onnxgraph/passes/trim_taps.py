"""Leave out a convolution's taps that see padding alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx import helper, numpy_helper
from onnx.external_data_helper import uses_external_data

from segship.onnxgraph.shapes import sides_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import onnx
    from numpy.typing import NDArray

__all__ = ["trim_taps"]

_SPATIAL = 2  # axes, behind those of channels
_REPLACED = ("kernel_shape", "pads", "dilations")
_PLAIN = {"auto_pad": b"NOTSET"}


def trim_taps(model: onnx.ModelProto) -> bool:
    """Cut off the rows and columns of kernels that lie beyond the image wherever the kernel stands.

    Such are the outer taps of DeepLabV3's convolutions, 12 to 36 cells away, where a map has fewer cells. They add
    nothing but zeros. In that network onnxruntime-qnn 2.7.0 computes them wrongly on its emulator, by a tenth to four
    tenths of their size; without those taps they are right.

    Args:
        model: Its shapes known; changed in place.

    Returns:
        Whether a kernel was cut.
    """
    graph, sides, changed = model.graph, sides_of(model), False
    weights = {tensor.name: tensor for tensor in graph.initializer if not uses_external_data(tensor)}
    for node in graph.node:
        if node.op_type != "Conv" or node.input[1] not in weights:
            continue
        image, made = (sides.get(name, ())[_SPATIAL:] for name in (node.input[0], node.output[0]))
        kernel = weights[node.input[1]].dims[_SPATIAL:]
        settings = _settings(node, len(kernel))
        if len(image) == len(made) == len(kernel) and all((*image, *made)) and settings.items() >= _PLAIN.items():
            kept = [_seen(axis, image[axis], made[axis], kernel[axis], settings) for axis in range(len(kernel))]
            if [len(taps) for taps in kept] != list(kernel):
                _trim(graph, node, numpy_helper.to_array(weights[node.input[1]]), kept, settings)
                changed = True
    return changed


def _settings(node: onnx.NodeProto, axes: int) -> dict[str, Any]:
    given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {**_PLAIN, "dilations": [1] * axes, "strides": [1] * axes, "pads": [0] * 2 * axes} | given


def _seen(axis: int, length: int, made: int, taps: int, settings: Mapping[str, Any]) -> range:
    """The taps from the first to the last that lie within the image anywhere.

    More are kept where there would have to be less than no padding, and one where none sees anything.
    """
    apart, stride = settings["dilations"][axis], settings["strides"][axis]
    before, after = settings["pads"][axis], settings["pads"][axis + len(settings["pads"]) // 2]
    first, last = 0, taps - 1
    while first < last and first * apart - before + (made - 1) * stride < 0 and (first + 1) * apart <= before:
        first += 1
    while last > first and last * apart - before >= length and (taps - last) * apart <= after:
        last -= 1
    return range(first, last + 1)


def _trim(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    weight: NDArray[np.float32],
    kept: list[range],
    settings: Mapping[str, Any],
) -> None:
    apart, pads = settings["dilations"], list(settings["pads"])
    for axis, taps in enumerate(kept):
        pads[axis] -= taps[0] * apart[axis]
        pads[axis + len(kept)] -= (weight.shape[_SPATIAL + axis] - 1 - taps[-1]) * apart[axis]
    kernel = [len(taps) for taps in kept]
    apart = [step if length > 1 else 1 for step, length in zip(apart, kernel, strict=True)]
    name = f"{node.output[0]}_trimmed_weight"
    for axis, taps in enumerate(kept):
        weight = weight.take(taps, _SPATIAL + axis)
    graph.initializer.append(numpy_helper.from_array(weight, name))
    node.input[1] = name
    others = [each for each in node.attribute if each.name not in _REPLACED]
    del node.attribute[:]
    node.attribute.extend(others)
    for setting, values in zip(_REPLACED, (kernel, pads, apart), strict=True):
        node.attribute.append(helper.make_attribute(setting, values))
