"""Graphs that end in the mask, and graphs that begin with the image.

The one place where the operators around a network are added to it: the resize of its logits, the decision, and, in
front of it, the preprocessing of `segship.onnxgraph.image.preprocess`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from onnx import TensorProto, helper

from segship.core.artifacts import TensorInfo
from segship.core.errors import UnsupportedError
from segship.onnxgraph.build import Builder, Value
from segship.onnxgraph.conventions import INPUT, OUTPUT
from segship.onnxgraph.file import load, save
from segship.onnxgraph.image.decide import Way, labels
from segship.onnxgraph.image.preprocess import add_preprocess
from segship.onnxgraph.metadata import set_metadata
from segship.onnxgraph.passes.raise_opset import raise_opset
from segship.onnxgraph.passes.rename_values import rename_values
from segship.onnxgraph.ports import declare, inputs_of, outputs_of
from segship.vision.label_maps import label_dtype
from segship.vision.upsample import score_above

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import onnx

    from segship.core.artifacts import Graph
    from segship.core.plan import Embedded
    from segship.core.spec import ModelSpec
    from segship.onnxgraph.image.preprocess import Preprocessed
    from segship.onnxgraph.image.sizes import Size

__all__ = ["MASK", "append_postprocess", "embed", "take_pixels"]

MASK = "mask"
"""Name of the output of a graph that returns labels."""

_LEAST_OPSET = 18  # of reductions whose axes are an input
_FAR = 3e38  # a logit that float32 still holds
_TENSOR = "tensor"  # what the network's own input is called where the image comes before it
_LOW = "low_resolution"  # what its output is called where another has its name
_Way = TypeVar("_Way", "_Logits", "_Scores")
_SIDES = ("image_height", "image_width")


def embed(graph: Graph, path: Path, spec: ModelSpec, what: tuple[Embedded, ...], *, branches: bool = False) -> Graph:
    """Write a version of ``graph`` that does work on images itself.

    Args:
        graph: ONNX; input ``image`` float32 (N, C, H, W), output ``logits`` float32 (N, K, h, w).
        path: The file to write.
        spec: What the network expects and means.
        what: ``"pre"``: the input becomes uint8 (H, W, 3), RGB, of any size. ``"post"``: the output becomes ``mask``,
            of the image's size (H, W) behind ``"pre"``, else (N, H, W) of the input's size; uint8, or uint16 where
            there are more than 256 classes.
        branches: As for `segship.onnxgraph.image.preprocess.add_preprocess`.

    Returns:
        The graph at ``path``.

    Raises:
        UnsupportedError: The network slides, or sees no photographs.
    """
    if spec.slide is not None:
        raise UnsupportedError(
            "a network that slides has as many windows as fit into the image, which one graph cannot count: leave "
            "--embed out, or see the whole image with --cfg-options model.test_cfg.mode=whole"
        )
    model = load(graph.path)
    raise_opset(model, _LEAST_OPSET)
    inputs, outputs = graph.inputs, graph.outputs
    builder = Builder("segship")
    if "pre" in what:
        rename_values(model, {INPUT: _TENSOR})
        before = add_preprocess(builder, Value(builder, INPUT, "uint8"), spec, branches=branches)
        inputs = (TensorInfo(name=INPUT, dtype="uint8", shape=(*_SIDES, 3)),)
        _put_before(model.graph, builder, before.tensor)
    if "post" in what:
        logits = _Logits(builder, Value(builder, OUTPUT, "float32"), spec)
        if "pre" in what:
            _back(logits, before, spec)
        else:
            sides = Value(builder, INPUT, "float32")
            logits.resized((builder.length(sides, 2), builder.length(sides, 3)))
        shape: tuple[int | str, ...] = _SIDES if "pre" in what else (inputs[0].shape[0], *inputs[0].shape[2:])
        dtype = label_dtype(len(spec.classes)).__name__
        mask = logits.labels()
        mask = builder.add("Squeeze", mask, builder.constant(0, "int64")) if "pre" in what else mask
        outputs = (TensorInfo(name=MASK, dtype=dtype, shape=shape),)
        # The last node of all: TensorRT has bytes at a graph's borders only.
        builder.nodes.append(helper.make_node("Cast", [mask.name], [MASK], to=getattr(TensorProto, dtype.upper())))
    _put_after(model, builder, inputs, outputs)
    save(model, path)
    return dataclasses.replace(graph, path=path, inputs=inputs, outputs=outputs)


def append_postprocess(
    model: onnx.ModelProto,
    spec: ModelSpec,
    *,
    image: str,
    output: str,
    size: tuple[int, int] | None = None,
    decide: bool = True,
) -> None:
    """Turn a graph that returns low-resolution logits into one that returns labels or logits at its input's size.

    Args:
        model: Input ``image`` float32 (N, C, H, W), output ``logits`` float32 (N, K, h, w); changed in place.
        spec: How logits become labels.
        image: New name of the input.
        output: Name of the new output: int64 (N, 1, H, W), or float32 (N, K, H, W).
        size: (height, width) to resize to after that; None: no further resize.
        decide: Whether labels are returned, or logits.
    """
    rename_values(model, {INPUT: image})
    builder = Builder("segship")
    source = Value(builder, image, "float32")
    input_size = builder.length(source, 2), builder.length(source, 3)
    scores = _Scores(builder, Value(builder, OUTPUT, "float32"), spec).resized(input_size)
    if size is not None:
        scores = scores.resized(_fixed(builder, size))
    classes = outputs_of(model)[0].shape[1]
    found = _decided(builder, scores.value, spec) if decide else scores.value
    builder.nodes.append(helper.make_node("Identity", [found.name], [output]))
    batch, channels, *sides = inputs_of(model)[0].shape
    given = TensorInfo(name=image, dtype="float32", shape=(batch, channels, *sides))
    shape = (batch, 1 if decide else classes, *(size or sides))
    _put_after(model, builder, (given,), (TensorInfo(name=output, dtype=found.dtype, shape=shape),))


def take_pixels(
    graph: Graph,
    path: Path,
    spec: ModelSpec,
    *,
    image: str,
    output: str,
    unit: bool = False,
    shares: bool = False,
    size: tuple[int, int] | None = None,
    metadata: Mapping[str, str] | None = None,
    branches: bool = True,
) -> Graph:
    """Write a version of ``graph`` that takes the numbers of an image, and returns scores at the image's size.

    Args:
        graph: As for `embed`.
        path: The file to write.
        spec: What the network expects and means.
        image: Name of the new input: float32 (1, 3, H, W), RGB, whole numbers in 0-255, of any size.
        output: Name of the new output: float32 (1, K, H, W), of which the greatest decides; of a network with one
            output and a threshold K is 2, and the first is what the other has to pass.
        unit: The numbers of the image are in 0-1 instead.
        shares: The scores are in 0-1, and their sum is one.
        size: The only (height, width) of the image; None: any.
        metadata: Written into the file, in place of what is there.
        branches: As for `embed`.

    Returns:
        The graph at ``path``.

    Raises:
        UnsupportedError: The network sees no photographs, or a step has no operators.
    """
    model = load(graph.path)
    raise_opset(model, _LEAST_OPSET)
    rename_values(model, {INPUT: _TENSOR, OUTPUT: _LOW})
    builder = Builder("segship")
    numbers = Value(builder, image, "float32")
    numbers = builder.add("Round", numbers * 255.0) if unit else numbers  # a quotient is not quite what it was made of
    given = builder.add("Squeeze", numbers, builder.constant(0, "int64"))
    before = add_preprocess(builder, builder.add("Transpose", given, perm=[1, 2, 0]), spec, branches=branches)
    _put_before(model.graph, builder, before.tensor)
    scores = _back(_Scores(builder, Value(builder, _LOW, "float32"), spec), before, spec).value
    classes = 1 if spec.output == "sigmoid" else len(spec.classes)
    if spec.output == "sigmoid":
        scores, classes = _against_threshold(builder, scores, spec), 2
    if shares and (spec.output == "sigmoid" or spec.returns != "probabilities"):
        scores = builder.add("Softmax", scores, axis=1)
    sides = size or _SIDES
    builder.nodes.append(helper.make_node("Identity", [scores.name], [output]))
    inputs = (TensorInfo(name=image, dtype="float32", shape=(1, 3, *sides)),)
    outputs = (TensorInfo(name=output, dtype="float32", shape=(1, classes, *sides)),)
    _put_after(model, builder, inputs, outputs)
    if metadata is not None:
        set_metadata(model, metadata)
    save(model, path)
    return dataclasses.replace(graph, path=path, inputs=inputs, outputs=outputs)


def _fixed(builder: Builder, size: tuple[int, int]) -> Size:
    """A fixed size as two values."""
    return builder.constant(size[0], "int64"), builder.constant(size[1], "int64")


def _back(logits: _Way, before: Preprocessed, spec: ModelSpec) -> _Way:
    """The way of logits from the network's input to the image: as `segship.vision.preprocess.inverse_steps`.

    Raises:
        UnsupportedError: What is decided at the input's size is brought to the image's by its nearest pixels.
    """
    spec.require_scores_resized()
    first, kept = before.padded, before.sizes[-1]
    if spec.resize_logits == "directly" and not any(step.cuts_margin for step in spec.geometry):
        if spec.padding is None:
            return logits.resized(before.sizes[0])
        # Logits go to the image's size at once where nothing had to be padded.
        padded = ((first[0] - kept[0]) + (first[1] - kept[1])).minimum(1)
        image = before.sizes[0]
        first, kept = (
            (image[0] + (size[0] - image[0]) * padded, image[1] + (size[1] - image[1]) * padded)
            for size in (first, kept)
        )
    logits = logits.resized(first)
    if spec.padding is not None:
        logits = logits.cropped(kept)
    for step, old, new in zip(reversed(spec.geometry), before.sizes[-2::-1], before.sizes[:0:-1], strict=True):
        if step.cuts_margin:
            logits = logits.resized(new).cropped(old)
    return logits.resized(before.sizes[0]) if spec.geometry else logits


class _Logits:
    """Logits on their way to labels.

    Args:
        builder: Takes the operators.
        value: float32 (N, K, h, w).
        spec: How they are resized and decided.
    """

    def __init__(self, builder: Builder, value: Value, spec: ModelSpec) -> None:
        self._builder, self._spec, self._value = builder, spec, value
        size = builder.length(value, 2), builder.length(value, 3)
        self._way = Way(builder, size, align_corners=spec.align_corners)

    def resized(self, size: Size) -> _Logits:
        """At another height and width."""
        self._way.resized(size)
        return self

    def cropped(self, size: Size) -> _Logits:
        """The upper left part."""
        self._way.cropped(size)
        return self

    def labels(self) -> Value:
        """int32 (N, H, W)."""
        b = self._builder
        if self._spec.output == "softmax":
            return labels(b, self._value, self._way)
        return labels(b, _against_threshold(b, self._value, self._spec), self._way)


def _against_threshold(b: Builder, scores: Value, spec: ModelSpec) -> Value:
    """Two classes of one: the first is as likely as the threshold everywhere, and what wins against it is above."""
    cut = b.constant(np.clip(_cut(spec), -_FAR, _FAR), "float32")
    return b.add("Concat", b.add("Expand", cut, b.add("Shape", scores, dtype="int64")), scores, axis=1)


class _Scores:
    """The score of every class at every pixel.

    Args:
        builder: Takes the operators.
        value: float32 (N, K, h, w).
        spec: How they are resized.
    """

    def __init__(self, builder: Builder, value: Value, spec: ModelSpec) -> None:
        self._builder, self._spec, self.value = builder, spec, value

    def resized(self, size: Size) -> _Scores:
        """At another height and width."""
        b, mode = self._builder, "align_corners" if self._spec.align_corners else "half_pixel"
        sizes = b.join(b.length(self.value, 0), b.length(self.value, 1), *size)
        resized = b.add("Resize", self.value, None, None, sizes, mode="linear", coordinate_transformation_mode=mode)
        return _Scores(b, resized, self._spec)

    def cropped(self, size: Size) -> _Scores:
        """The upper left part."""
        b = self._builder
        none, axes = b.constant([0, 0], "int64"), b.constant([2, 3], "int64")
        return _Scores(b, b.add("Slice", self.value, none, b.join(*size), axes), self._spec)


def _decided(b: Builder, logits: Value, spec: ModelSpec) -> Value:
    """int64 (N, 1, H, W)."""
    if spec.output == "softmax":
        found = b.add("ArgMax", logits, dtype="int64", axis=1, keepdims=0)
        return b.add("Unsqueeze", found, b.constant(1, "int64"))
    cut = _cut(spec)
    if cut == -np.inf:
        return b.add("GreaterOrEqual", logits, b.constant(cut, "float32"), dtype="bool").to("int64")
    return (logits > cut).to("int64")


def _cut(spec: ModelSpec) -> float:
    """What a score passes to be above the threshold."""
    return score_above(spec.threshold, activated=spec.returns == "probabilities")


def _put_before(graph: onnx.GraphProto, builder: Builder, tensor: Value) -> None:
    """Let the network take what has been built so far."""
    nodes = [*builder.nodes, helper.make_node("Identity", [tensor.name], [_TENSOR]), *graph.node]
    # Sizes are named after the input in what the exporter noted of the values between, and mean others from now on.
    del graph.node[:], graph.value_info[:], builder.nodes[:]
    graph.node.extend(nodes)


def _put_after(
    model: onnx.ModelProto, builder: Builder, inputs: Iterable[TensorInfo], outputs: Iterable[TensorInfo]
) -> None:
    """Add the rest of what was built, and say what goes in and out."""
    model.graph.node.extend(builder.nodes)
    model.graph.initializer.extend(builder.constants.values())
    declare(model, inputs, outputs)
