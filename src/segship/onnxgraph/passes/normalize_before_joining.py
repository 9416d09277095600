"""Normalise the parts of a concatenation before they are joined: for eight bits, or for speed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.external_data_helper import uses_external_data

from segship.onnxgraph.nodes import replace_nodes
from segship.onnxgraph.passes.drop_unused import drop_unused
from segship.onnxgraph.shapes import channels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    _Parts = list[tuple[onnx.NodeProto, list[onnx.TensorProto]]]
    _Readers = dict[str, list[tuple[str, str]]]  # of each value: their operators and their first outputs

__all__ = ["normalize_before_joining", "normalize_convolutions"]

_BY_CHANNEL = {"BatchNormalization", "PRelu"}
_CHANNELS = 1  # the axis
_MAP_AXES = 3  # channels, height and width, to which slopes are aligned


def normalize_before_joining(model: onnx.ModelProto) -> bool:
    """Move normalisations, and the PReLUs after them, from behind a concatenation to each of its parts.

    The result is the same, as both treat every channel for itself. A tensor of eight-bit numbers has one scale: where
    features of 1 and an image of 0-255 are joined before they are normalised, as in CGNet, nothing is left of the
    features. Behind a convolution, a normalisation becomes part of it besides.

    Args:
        model: Its shapes known; changed in place.

    Returns:
        Whether a node was moved.
    """
    return _move(model, lambda _joining, _makers: True)


def normalize_convolutions(model: onnx.ModelProto) -> bool:
    """Do the same where convolutions alone are joined, and no convolution reads what was joined.

    For eight bits in OpenVINO: the normalisation and the PReLU become part of the convolutions, which then write whole
    numbers, and CGNet's int8 takes 0.92 of the time. A convolution that reads parts of several scales is left in
    floating point there; where features and an image are joined, as in CGNet's stem, nothing is gained: three channels
    fill a few lanes of a register only.

    Args:
        model: Its shapes known; changed in place.

    Returns:
        Whether a node was moved.
    """
    readers: _Readers = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append((node.op_type, node.output[0]))
    return _move(model, lambda joining, makers: _joins_convolutions(joining, makers) and not _is_read(joining, readers))


def _joins_convolutions(joining: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> bool:
    before = [makers.get(name) for name in joining.input]
    while all(node is not None and node.op_type == "BatchNormalization" for node in before):
        before = [makers.get(node.input[0]) for node in before if node is not None]
    return all(node is not None and node.op_type == "Conv" for node in before)


def _is_read(joining: onnx.NodeProto, readers: _Readers) -> bool:
    """Whether a convolution reads what is joined, normalised or not."""
    after = readers.get(joining.output[0], [])
    while len(after) == 1 and after[0][0] in _BY_CHANNEL:
        after = readers.get(after[0][1], [])
    return any(operator == "Conv" for operator, _ in after)


def _move(model: onnx.ModelProto, wanted: Callable[[onnx.NodeProto, dict[str, onnx.NodeProto]], bool]) -> bool:
    channels, moved = channels_of(model), False
    while _move_one(model, channels, wanted):
        moved = True
    if moved:
        drop_unused(model)  # the weights of all channels, of which ONNX Runtime would warn one by one
    return moved


def _move_one(
    model: onnx.ModelProto,
    channels: dict[str, int],
    wanted: Callable[[onnx.NodeProto, dict[str, onnx.NodeProto]], bool],
) -> bool:
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer if not uses_external_data(tensor)}
    users = _users(graph)
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        joining = _join_before(node, makers, users)
        if joining is None or not wanted(joining, makers):
            continue
        counts = [channels.get(name, 0) for name in joining.input]
        weights = {name: numpy_helper.to_array(tensors[name]) for name in node.input[1:] if name in tensors}
        if not all(counts) or not all(_by_channel(node, weights.get(name), sum(counts)) for name in node.input[1:]):
            continue
        parts = list(_parts(node, joining, counts, weights))
        channels.update({part.output[0]: count for (part, _), count in zip(parts, counts, strict=True)})
        _exchange(graph, node, joining, parts)
        return True
    return False


def _join_before(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto], users: Counter[str]) -> onnx.NodeProto | None:
    """The concatenation whose channels ``node``, and nothing else, normalises."""
    joining = makers.get(node.input[0]) if node.op_type in _BY_CHANNEL else None
    if joining is None or not _joins_channels(joining) or users[joining.output[0]] > 1:
        return None
    return joining


def _exchange(graph: onnx.GraphProto, node: onnx.NodeProto, joining: onnx.NodeProto, parts: _Parts) -> None:
    """Put the parts, and their concatenation, in the place of ``node``."""
    copies = [part for part, _ in parts]
    ends = [part.output[0] for part in copies]
    joined = helper.make_node("Concat", ends, node.output, name=joining.name, axis=_CHANNELS)
    # Both stand in an order in which they can run: everything the parts need comes before the old join.
    new = [each for old in graph.node for each in ([*copies, joined] if old is node else [old])]
    kept = [onnx.NodeProto.FromString(each.SerializeToString()) for each in new if each is not joining]
    replace_nodes(graph, kept)
    graph.initializer.extend(tensor for _, tensors in parts for tensor in tensors)


def _by_channel(node: onnx.NodeProto, weight: NDArray[np.float32] | None, channels: int) -> bool:
    """Whether it is one constant for all channels, or one for each."""
    if weight is None:
        return False
    axis = max(weight.ndim - _MAP_AXES, 0)
    aligned = node.op_type == "BatchNormalization" or weight.ndim >= _MAP_AXES
    return weight.size == 1 or (aligned and weight.size == channels == weight.shape[axis])


def _parts(
    node: onnx.NodeProto, joining: onnx.NodeProto, counts: list[int], weights: dict[str, NDArray[np.float32]]
) -> Iterator[tuple[onnx.NodeProto, list[onnx.TensorProto]]]:
    """The node for each part that is joined, and its share of the weights."""
    ends = np.cumsum(counts)
    for number, (source, count, end) in enumerate(zip(joining.input, counts, ends, strict=True)):
        part = onnx.NodeProto()
        part.CopyFrom(node)
        part.name, part.output[0] = f"{node.name or node.output[0]}_{number}", f"{node.output[0]}_{number}"
        part.input[0] = source
        tensors = []
        for place, name in enumerate(node.input[1:], start=1):
            weight = weights[name]
            if weight.size > 1:  # one slope of PReLU stands for all channels
                weight = np.take(weight, range(end - count, end), axis=max(weight.ndim - _MAP_AXES, 0))
            part.input[place] = f"{name}_{number}_of_{part.output[0]}"
            tensors.append(numpy_helper.from_array(np.ascontiguousarray(weight), part.input[place]))
        yield part, tensors


def _users(graph: onnx.GraphProto) -> Counter[str]:
    """How often each value is read."""
    return Counter((*(name for node in graph.node for name in node.input), *(value.name for value in graph.output)))


def _joins_channels(node: onnx.NodeProto) -> bool:
    return node.op_type == "Concat" and helper.get_node_attr_value(node, "axis") == _CHANNELS
